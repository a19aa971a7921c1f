/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "repository/id.h"

/* Of lower case alone, plus one: 0 is no digit. */
static const uint8_t digits[UINT8_MAX + 1] = {
        ['0'] = 1,
        ['1'] = 2,
        ['2'] = 3,
        ['3'] = 4,
        ['4'] = 5,
        ['5'] = 6,
        ['6'] = 7,
        ['7'] = 8,
        ['8'] = 9,
        ['9'] = 10,
        ['a'] = 11,
        ['b'] = 12,
        ['c'] = 13,
        ['d'] = 14,
        ['e'] = 15,
        ['f'] = 16,
};

int id_from_hex(const char *s, size_t n, Id *ret) {
        Id id;

        assert(s || n == 0);
        assert(ret);

        if (n != ID_HEX_LENGTH)
                return -EINVAL;
        for (size_t i = 0; i < sizeof(id.bytes); i++) {
                unsigned high = digits[(uint8_t) s[2 * i]], low = digits[(uint8_t) s[2 * i + 1]];

                if (high == 0 || low == 0)
                        return -EINVAL;
                id.bytes[i] = (uint8_t) ((high - 1) << 4 | (low - 1));
        }
        *ret = id;
        return 0;
}

int id_of(const void *p, size_t n, Id *ret) {
        assert(ret);

        return sha256(p, n, ret->bytes);
}
