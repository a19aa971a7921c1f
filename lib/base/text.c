/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

bool endswith(const char *s, const char *suffix) {
        size_t n, m;

        assert(s);
        assert(suffix);

        n = strlen(s);
        m = strlen(suffix);
        return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

int vasprintf_safe(char **ret, const char *format, va_list ap) {
        char *text = NULL;

        assert(ret);
        assert(format);

        if (vasprintf(&text, format, ap) < 0)
                return -ENOMEM;
        *ret = text;
        return 0;
}

int asprintf_safe(char **ret, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf_safe(ret, format, ap);
        va_end(ap);
        return r;
}

int free_and_strdup(char **p, const char *s) {
        char *copy = NULL;

        assert(p);

        if (s) {
                copy = strdup(s);
                if (!copy)
                        return -ENOMEM;
        }
        free(*p);
        *p = copy;
        return 0;
}

bool equal_constant_time(const void *a, const void *b, size_t n) {
        const volatile unsigned char *x = a, *y = b;
        unsigned char difference = 0;

        assert(n == 0 || (a && b));

        for (size_t i = 0; i < n; i++)
                difference |= (unsigned char) (x[i] ^ y[i]);
        return difference == 0;
}

char **strv_free(char **l) {
        for (char **s = l; s && *s; s++)
                free(*s);
        free(l);
        return NULL;
}

size_t strv_length(char *const *l) {
        size_t n = 0;

        STRV_FOREACH(s, l)
                n++;
        return n;
}

bool strv_contains(char *const *l, const char *s) {
        assert(s);

        STRV_FOREACH(i, l)
                if (streq(*i, s))
                        return true;
        return false;
}

int strv_extend(char ***l, const char *s) {
        size_t n;
        char **grown, *copy;

        assert(l);
        assert(s);

        n = strv_length(*l);
        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        grown = realloc(*l, (n + 2) * sizeof(char *));
        if (!grown) {
                free(copy);
                return -ENOMEM;
        }
        grown[n] = copy;
        grown[n + 1] = NULL;
        *l = grown;
        return 0;
}

/* The length of the sequence that the lead byte announces, and the smallest code point it may carry. */
static size_t utf8_lead(unsigned char c, uint32_t *ret_bits, uint32_t *ret_minimum) {
        if (c < 0x80) {
                *ret_bits = c;
                *ret_minimum = 0;
                return 1;
        }
        if ((c & 0xe0) == 0xc0) {
                *ret_bits = c & 0x1f;
                *ret_minimum = 0x80;
                return 2;
        }
        if ((c & 0xf0) == 0xe0) {
                *ret_bits = c & 0x0f;
                *ret_minimum = 0x800;
                return 3;
        }
        if ((c & 0xf8) == 0xf0) {
                *ret_bits = c & 0x07;
                *ret_minimum = 0x10000;
                return 4;
        }
        return 0;
}

/* Bytes at the beginning, a word at a time, that are ASCII: most text is. */
static size_t ascii_length(const char *s, size_t n) {
        size_t i = 0;
        uint64_t word;

        for (; n - i >= sizeof(word); i += sizeof(word)) {
                memcpy(&word, s + i, sizeof(word));
                if (word & UINT64_C(0x8080808080808080))
                        break;
        }
        return i;
}

bool utf8_is_valid(const char *s, size_t n) {
        assert(s || n == 0);

        for (size_t i = ascii_length(s, n); i < n;) {
                uint32_t point, minimum;
                size_t length = utf8_lead((unsigned char) s[i], &point, &minimum);

                if (length == 0 || length > n - i)
                        return false;
                for (size_t k = 1; k < length; k++) {
                        unsigned char c = (unsigned char) s[i + k];

                        if ((c & 0xc0) != 0x80)
                                return false;
                        point = point << 6 | (c & 0x3f);
                }
                if (point < minimum || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
                        return false;
                i += length;
        }
        return true;
}
