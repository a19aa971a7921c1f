/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/parse.h"
#include "base/text.h"

/* Reads leading digits; gives how many there were, or a negative errno on overflow. */
static int read_digits(const char *s, uint64_t *ret) {
        uint64_t v = 0;
        int n = 0;

        for (; s[n] >= '0' && s[n] <= '9'; n++) {
                uint64_t digit = (uint64_t) (s[n] - '0');

                if (v > (UINT64_MAX - digit) / 10)
                        return -ERANGE;
                v = v * 10 + digit;
        }
        *ret = v;
        return n;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;
        int n;

        assert(s);
        assert(ret);

        n = read_digits(s, &v);
        if (n < 0)
                return n;
        if (n == 0 || s[n] != 0)
                return -EINVAL;
        if (v < min || v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret) {
        uint64_t v;
        int r;

        assert(ret);

        r = parse_u64(s, min, max, &v);
        if (r < 0)
                return r;
        *ret = (uint32_t) v;
        return 0;
}

typedef struct Suffix {
        const char *text;
        uint64_t factor;
} Suffix;

static int parse_scaled(const char *s, const Suffix *suffixes, size_t n_suffixes, uint64_t *ret) {
        uint64_t v = 0;
        int n;

        n = read_digits(s, &v);
        if (n < 0)
                return n;
        if (n == 0)
                return -EINVAL;
        for (size_t i = 0; i < n_suffixes; i++) {
                if (!streq(s + n, suffixes[i].text))
                        continue;
                if (v > UINT64_MAX / suffixes[i].factor)
                        return -ERANGE;
                *ret = v * suffixes[i].factor;
                return 0;
        }
        return -EINVAL;
}

int parse_size(const char *s, uint64_t *ret) {
        static const Suffix suffixes[] = {
                { "", 1 },
                { "K", UINT64_C(1) << 10 },
                { "M", UINT64_C(1) << 20 },
                { "G", UINT64_C(1) << 30 },
                { "T", UINT64_C(1) << 40 },
        };

        assert(s);
        assert(ret);

        return parse_scaled(s, suffixes, ELEMENTSOF(suffixes), ret);
}

int parse_span(const char *s, usec_t *ret) {
        static const Suffix suffixes[] = {
                { "", USEC_PER_SEC },
                { "ms", USEC_PER_MSEC },
                { "s", USEC_PER_SEC },
                { "min", USEC_PER_MINUTE },
                { "h", USEC_PER_HOUR },
                { "d", USEC_PER_DAY },
        };

        assert(s);
        assert(ret);

        return parse_scaled(s, suffixes, ELEMENTSOF(suffixes), ret);
}

int parse_boolean(const char *s, bool *ret) {
        static const char *const yes[] = { "1", "yes", "true", "on" };
        static const char *const no[] = { "0", "no", "false", "off" };

        assert(s);
        assert(ret);

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (streq(s, yes[i])) {
                        *ret = true;
                        return 0;
                }
                if (streq(s, no[i])) {
                        *ret = false;
                        return 0;
                }
        }
        return -EINVAL;
}
