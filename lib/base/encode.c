/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/encode.h"

char *hex_encode(const void *p, size_t n, char *buf) {
        static const char digits[] = "0123456789abcdef";
        const unsigned char *bytes = p;

        assert(p || n == 0);
        assert(buf);

        for (size_t i = 0; i < n; i++) {
                buf[2 * i] = digits[bytes[i] >> 4];
                buf[2 * i + 1] = digits[bytes[i] & 15];
        }
        buf[2 * n] = 0;
        return buf;
}

int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -EINVAL;
}

int hex_decode(const char *s, void *buf, size_t n) {
        unsigned char *out = buf;

        assert(s);
        assert(buf || n == 0);

        for (size_t i = 0; i < n; i++) {
                int high, low;

                high = hex_digit(s[2 * i]);
                if (high < 0)
                        return high;
                low = hex_digit(s[2 * i + 1]);
                if (low < 0)
                        return low;
                out[i] = (unsigned char) (high << 4 | low);
        }
        return s[2 * n] == 0 ? 0 : -EINVAL;
}

static const char *base64_digits(Base64 alphabet) {
        return alphabet == BASE64_URL ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" :
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

int base64_encode(Base64 alphabet, const void *p, size_t n, char **ret) {
        const unsigned char *in = p;
        const char *digits = base64_digits(alphabet);
        size_t k = 0;
        char *text;

        assert(p || n == 0);
        assert(ret);

        if (n > SIZE_MAX / 2)
                return -ENOMEM;
        text = malloc((n + 2) / 3 * 4 + 1);
        if (!text)
                return -ENOMEM;

        for (size_t i = 0; i < n; i += 3) {
                size_t left = MIN(n - i, (size_t) 3);
                uint32_t v = (uint32_t) in[i] << 16;

                if (left > 1)
                        v |= (uint32_t) in[i + 1] << 8;
                if (left > 2)
                        v |= in[i + 2];
                for (size_t d = 0; d < 4; d++) {
                        if (d <= left)
                                text[k++] = digits[v >> (18 - 6 * d) & 63];
                        else if (alphabet == BASE64_STANDARD)
                                text[k++] = '=';
                }
        }
        text[k] = 0;
        *ret = text;
        return 0;
}

static int base64_value(Base64 alphabet, char c) {
        const char *at;

        if (c == 0)
                return -EINVAL;
        at = strchr(base64_digits(alphabet), c);
        return at ? (int) (at - base64_digits(alphabet)) : -EINVAL;
}

/* Takes the padding off where the alphabet asks for it. */
static int base64_unpad(Base64 alphabet, const char *s, size_t *n) {
        if (alphabet != BASE64_STANDARD)
                return 0;
        if (*n % 4 != 0)
                return -EINVAL;
        for (int i = 0; i < 2 && *n > 0 && s[*n - 1] == '='; i++)
                (*n)--;
        return 0;
}

int base64_decode(Base64 alphabet, const char *s, size_t n, void **ret, size_t *ret_size) {
        unsigned char *out;
        uint32_t v = 0;
        size_t k = 0;
        int bits = 0;

        assert(s || n == 0);
        assert(ret);
        assert(ret_size);

        if (base64_unpad(alphabet, s, &n) < 0 || n % 4 == 1)
                return -EINVAL;
        out = malloc(n / 4 * 3 + 4);
        if (!out)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                int d = base64_value(alphabet, s[i]);

                if (d < 0) {
                        free(out);
                        return d;
                }
                v = v << 6 | (uint32_t) d;
                bits += 6;
                if (bits >= 8) {
                        bits -= 8;
                        out[k++] = (unsigned char) (v >> bits);
                }
        }
        if ((v & ((1U << bits) - 1)) != 0) { /* bits that no encoder would set */
                free(out);
                return -EINVAL;
        }
        out[k] = 0;
        *ret = out;
        *ret_size = k;
        return 0;
}
