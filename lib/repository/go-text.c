/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/encode.h"
#include "base/text.h"
#include "repository/go-text.h"

/* Bytes of the UTF-8 character at s; 0: not one. */
static size_t character_length(const char *s) {
        unsigned char c = (unsigned char) s[0];
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 :
                        c < 0xf0           ? 3 :
                                             4;

        for (size_t i = 1; i < n; i++)
                if (((unsigned char) s[i] & 0xc0) != 0x80)
                        return 0;
        return utf8_is_valid(s, n) ? n : 0;
}

static int add_json_ascii(Buffer *out, char c) {
        switch (c) {
        case '"':
        case '\\':
                return buffer_printf(out, "\\%c", c);
        case '\n':
                return buffer_add_string(out, "\\n");
        case '\r':
                return buffer_add_string(out, "\\r");
        case '\t':
                return buffer_add_string(out, "\\t");
        default:
                return buffer_printf(out, "\\u%04x", (unsigned) (unsigned char) c);
        }
}

/* Bytes that are written as they are. */
static size_t json_plain(const char *s) {
        size_t n = 0;

        while ((unsigned char) s[n] >= ' ' && (unsigned char) s[n] < 0x80 && s[n] != '"' && s[n] != '\\' &&
               s[n] != '<' && s[n] != '>' && s[n] != '&')
                n++;
        return n;
}

int go_text_add_json(Buffer *out, const char *s) {
        int r;

        assert(out);
        assert(s);

        r = buffer_add_string(out, "\"");
        while (r >= 0 && *s) {
                size_t n = json_plain(s);

                if (n > 0)
                        r = buffer_add(out, s, n);
                else if ((unsigned char) *s < 0x80) {
                        n = 1;
                        r = add_json_ascii(out, *s);
                } else {
                        n = character_length(s);
                        if (n == 0) {
                                n = 1;
                                r = buffer_add_string(out, "\\ufffd");
                        } else if (strncmp(s, "\xe2\x80\xa8", n) == 0)
                                r = buffer_add_string(out, "\\u2028");
                        else if (strncmp(s, "\xe2\x80\xa9", n) == 0)
                                r = buffer_add_string(out, "\\u2029");
                        else
                                r = buffer_add(out, s, n);
                }
                s += n;
        }
        return r < 0 ? r : buffer_add_string(out, "\"");
}

/* Bytes that a quoted name has as they are. */
static size_t quoted_plain(const char *s) {
        size_t n = 0;

        while ((unsigned char) s[n] >= ' ' && (unsigned char) s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
                n++;
        return n;
}

/* The one at *name, which is not plain, or not valid. */
static int quote_character(Buffer *out, const char **name) {
        static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";
        const char *s = *name, *special = strchr(from, *s);
        size_t n = character_length(s);

        *name += MAX(n, (size_t) 1);
        if (special)
                return buffer_printf(out, "\\%c", to[special - from]);
        if (n == 0 || (unsigned char) *s < ' ' || *s == 0x7f)
                return buffer_printf(out, "\\x%02x", (unsigned) (unsigned char) *s);
        return buffer_add(out, s, n);
}

int go_text_quote(Buffer *out, const char *name) {
        int r;

        assert(out);
        assert(name);

        r = buffer_reserve(out, 1);
        while (r >= 0) {
                size_t plain = quoted_plain(name);

                r = buffer_add(out, name, plain);
                name += plain;
                if (r >= 0 && *name)
                        r = quote_character(out, &name);
                else
                        break;
        }
        return r;
}

/* n digits of this base at s. */
static int read_digits(const char *s, size_t left, size_t n, unsigned base, uint32_t *ret) {
        uint32_t v = 0;

        if (left < n)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                int d = hex_digit(s[i]);

                if (d < 0 || (unsigned) d >= base)
                        return -EINVAL;
                v = v * base + (unsigned) d;
        }
        *ret = v;
        return 0;
}

static int add_character(Buffer *out, uint32_t v) {
        char utf8[4];
        size_t n = 0;

        if (v == 0 || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
                return -EINVAL;
        if (v < 0x80)
                utf8[n++] = (char) v;
        else if (v < 0x800)
                utf8[n++] = (char) (0xc0 | v >> 6);
        else if (v < 0x10000)
                utf8[n++] = (char) (0xe0 | v >> 12);
        else {
                utf8[n++] = (char) (0xf0 | v >> 18);
                utf8[n++] = (char) (0x80 | (v >> 12 & 0x3f));
        }
        if (v >= 0x800)
                utf8[n++] = (char) (0x80 | (v >> 6 & 0x3f));
        if (v >= 0x80)
                utf8[n++] = (char) (0x80 | (v & 0x3f));
        return buffer_add(out, utf8, n);
}

/* Behind a backslash; gives the bytes it takes. */
static int unquote_escape(Buffer *out, const char *s, size_t n) {
        static const char from[] = "abfnrtv\\\"", to[] = "\a\b\f\n\r\t\v\\\"";
        size_t length = 0;
        const char *at;
        uint32_t v = 0;
        char byte;
        int r;

        assert(out);

        if (n == 0 || s[0] == 0)
                return -EINVAL;
        at = strchr(from, s[0]);
        if (at)
                r = buffer_add(out, to + (at - from), (length = 1));
        else if (s[0] == 'u' || s[0] == 'U') {
                length = s[0] == 'u' ? 4 : 8;
                r = read_digits(s + 1, n - 1, length++, 16, &v);
                if (r >= 0)
                        r = add_character(out, v);
        } else {
                bool hex = s[0] == 'x';

                length = 3;
                r = read_digits(s + hex, n - hex, hex ? 2 : 3, hex ? 16 : 8, &v);
                if (r >= 0 && (v == 0 || v > UINT8_MAX))
                        r = -EINVAL;
                byte = (char) v;
                if (r >= 0)
                        r = buffer_add(out, &byte, 1);
        }
        return r < 0 ? r : (int) length;
}

int go_text_unquote(Buffer *out, const char *s, size_t n) {
        int r;

        assert(out);
        assert(s || n == 0);

        r = buffer_reserve(out, n);
        while (r >= 0 && n > 0) {
                const char *escape = memchr(s, '\\', n);
                size_t plain = escape ? (size_t) (escape - s) : n;

                if (memchr(s, '"', plain) || memchr(s, '\n', plain) || memchr(s, 0, plain))
                        return -EINVAL;
                r = buffer_add(out, s, plain);
                s += plain;
                n -= plain;
                if (r < 0 || n == 0)
                        break;
                r = unquote_escape(out, s + 1, n - 1);
                if (r >= 0) {
                        s += 1 + r;
                        n -= 1 + (size_t) r;
                }
        }
        return r < 0 ? r : 0;
}
