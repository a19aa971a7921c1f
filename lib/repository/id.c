/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "repository/id.h"

static int digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -EINVAL;
}

int id_from_hex(const char *s, size_t n, Id *ret) {
        Id id;

        assert(s || n == 0);
        assert(ret);

        if (n != ID_HEX_LENGTH)
                return -EINVAL;
        for (size_t i = 0; i < sizeof(id.bytes); i++) {
                int high = digit(s[2 * i]), low = digit(s[2 * i + 1]);

                if (high < 0 || low < 0)
                        return -EINVAL;
                id.bytes[i] = (uint8_t) (high << 4 | low);
        }
        *ret = id;
        return 0;
}

int id_of(const void *p, size_t n, Id *ret) {
        assert(ret);

        return sha256(p, n, ret->bytes);
}
