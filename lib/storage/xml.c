/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/xml.h"

/* No object's key or server's message is longer. */
#define TEXT_MAX (64U << 10)

void xml_init(Xml *x, const void *data, size_t n) {
        static const char mark[] = "\xef\xbb\xbf";

        assert(x);
        assert(data || n == 0);

        *x = (Xml){ .p = data, .text = BUFFER_LIMITED(TEXT_MAX) };
        x->end = n > 0 ? x->p + n : x->p;
        if (n >= sizeof mark - 1 && memcmp(x->p, mark, sizeof mark - 1) == 0)
                x->p += sizeof mark - 1;
}

void xml_done(Xml *x) {
        assert(x);

        buffer_done(&x->text);
}

static size_t left(const Xml *x) {
        return x->p ? (size_t) (x->end - x->p) : 0;
}

static bool is_at(const Xml *x, const char *text) {
        size_t n = strlen(text);

        return left(x) >= n && memcmp(x->p, text, n) == 0;
}

static bool is_space(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool skip_space(Xml *x) {
        const char *from = x->p;

        while (x->p < x->end && is_space(*x->p))
                x->p++;
        return x->p > from;
}

/* Behind the next occurrence of text, which must be there. */
static int skip_past(Xml *x, const char *text) {
        const char *found = left(x) > 0 ? memmem(x->p, left(x), text, strlen(text)) : NULL;

        if (!found)
                return -EBADMSG;
        x->p = found + strlen(text);
        return 0;
}

/* What is not a delimiter may be in a name: servers write none that a check of each letter would catch. */
static int read_name(Xml *x, const char **ret, size_t *ret_size) {
        const char *from = x->p;

        while (x->p < x->end && !is_space(*x->p) && !memchr("/>=<&\"'", *x->p, 7))
                x->p++;
        if (x->p == from || x->p - from > XML_NAME_MAX || memchr(from, 0, (size_t) (x->p - from)))
                return -EBADMSG;
        *ret = from;
        *ret_size = (size_t) (x->p - from);
        return 0;
}

/* --- Text --------------------------------------------------------------------------------------------- */

static int add_code_point(Buffer *to, uint32_t c) {
        char s[4];
        size_t n;

        if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return -EBADMSG;
        if (c < 0x80) {
                s[0] = (char) c;
                n = 1;
        } else if (c < 0x800) {
                s[0] = (char) (0xc0 | c >> 6);
                n = 2;
        } else if (c < 0x10000) {
                s[0] = (char) (0xe0 | c >> 12);
                n = 3;
        } else {
                s[0] = (char) (0xf0 | c >> 18);
                n = 4;
        }
        for (size_t i = 1; i < n; i++)
                s[i] = (char) (0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
        return buffer_add(to, s, n);
}

/* "&#38;", "&#x26;": at the '#'. */
static int add_number(Xml *x) {
        unsigned base = 10;
        uint32_t c = 0;
        const char *from;

        x->p++;
        if (x->p < x->end && *x->p == 'x') {
                base = 16;
                x->p++;
        }
        for (from = x->p; x->p < x->end && *x->p != ';'; x->p++) {
                int d = hex_digit(*x->p);

                if (d < 0 || (unsigned) d >= base || c > 0x10ffff)
                        return -EBADMSG;
                c = c * base + (uint32_t) d;
        }
        if (x->p == from || x->p == x->end)
                return -EBADMSG;
        x->p++;
        return add_code_point(&x->text, c);
}

/* At the '&'. */
static int add_entity(Xml *x) {
        static const struct {
                const char *text;
                char is;
        } known[] = { { "amp;", '&' }, { "lt;", '<' }, { "gt;", '>' }, { "quot;", '"' }, { "apos;", '\'' } };

        x->p++;
        if (is_at(x, "#"))
                return add_number(x);
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (is_at(x, known[i].text)) {
                        x->p += strlen(known[i].text);
                        return buffer_add(&x->text, &known[i].is, 1);
                }
        return -EBADMSG;
}

static int add_cdata(Xml *x) {
        const char *from;
        size_t n;
        int r;

        x->p += STRLEN("<![CDATA[");
        from = x->p;
        r = skip_past(x, "]]>");
        if (r < 0)
                return r;
        n = (size_t) (x->p - from) - STRLEN("]]>");
        return memchr(from, 0, n) ? -EBADMSG : buffer_add(&x->text, from, n);
}

/* --- Tags --------------------------------------------------------------------------------------------- */

static int skip_attributes(Xml *x) {
        while (x->p < x->end) {
                bool space = skip_space(x);
                const char *name, *quote;
                size_t n;
                int r;

                if (x->p == x->end)
                        break;
                if (*x->p == '>' || *x->p == '/')
                        return 0;
                if (!space)
                        return -EBADMSG;
                r = read_name(x, &name, &n);
                if (r < 0)
                        return r;
                (void) skip_space(x);
                if (!is_at(x, "="))
                        return -EBADMSG;
                x->p++;
                (void) skip_space(x);
                if (!is_at(x, "\"") && !is_at(x, "'"))
                        return -EBADMSG;
                quote = x->p++;
                r = skip_past(x, *quote == '"' ? "\"" : "'");
                if (r < 0)
                        return r;
        }
        return -EBADMSG;
}

static void keep_name(Xml *x, const char *name, size_t n) {
        const char *colon = memchr(name, ':', n);

        if (colon) {
                n -= (size_t) (colon + 1 - name);
                name = colon + 1;
        }
        memcpy(x->name, name, n);
        x->name[n] = 0;
}

static int open_tag(Xml *x) {
        const char *name;
        size_t n;
        int r;

        x->p++;
        r = read_name(x, &name, &n);
        if (r < 0)
                return r;
        if (x->depth == XML_DEPTH_MAX || (x->depth == 0 && x->seen_root))
                return -EBADMSG;
        r = skip_attributes(x);
        if (r < 0)
                return r;
        x->self_closed = *x->p == '/';
        x->p += x->self_closed;
        if (!is_at(x, ">"))
                return -EBADMSG;
        x->p++;
        x->open[x->depth] = name;
        x->open_size[x->depth] = n;
        x->depth++;
        x->seen_root = true;
        buffer_clear(&x->text);
        keep_name(x, name, n);
        return XML_OPEN;
}

/* The element that is open ends. Its depth is told once more and goes down at the next event. */
static int close_element(Xml *x) {
        x->self_closed = false;
        keep_name(x, x->open[x->depth - 1], x->open_size[x->depth - 1]);
        if (!utf8_is_valid(strempty(x->text.data), x->text.size))
                return -EBADMSG;
        return XML_CLOSE;
}

static int close_tag(Xml *x) {
        const char *name;
        size_t n;
        int r;

        x->p += STRLEN("</");
        r = read_name(x, &name, &n);
        if (r < 0)
                return r;
        (void) skip_space(x);
        if (!is_at(x, ">") || x->depth == 0 || n != x->open_size[x->depth - 1] ||
            memcmp(name, x->open[x->depth - 1], n) != 0)
                return -EBADMSG;
        x->p++;
        return close_element(x);
}

/* --- Events ------------------------------------------------------------------------------------------- */

/* What gives no event: 0. */
static int pass(Xml *x) {
        const char *next;
        size_t n;

        if (is_at(x, "<?"))
                return skip_past(x, "?>");
        if (is_at(x, "<!--"))
                return skip_past(x, "-->");
        if (is_at(x, "<!["))
                return x->depth > 0 && is_at(x, "<![CDATA[") ? add_cdata(x) : -EBADMSG;
        if (is_at(x, "<!"))
                return -EBADMSG;
        if (x->depth == 0)
                return skip_space(x) ? 0 : -EBADMSG;
        if (*x->p == '&')
                return add_entity(x);
        for (next = x->p; next < x->end && *next != '<' && *next != '&'; next++)
                if (*next == 0)
                        return -EBADMSG;
        n = (size_t) (next - x->p);
        x->p = next;
        return buffer_add(&x->text, next - n, n);
}

static int next_event(Xml *x) {
        if (x->self_closed)
                return close_element(x);
        while (x->p < x->end) {
                bool is_tag = *x->p == '<' && left(x) > 1 && x->p[1] != '?' && x->p[1] != '!';
                int r;

                if (*x->p == '<' && left(x) == 1)
                        return -EBADMSG; /* cut off there */
                if (is_tag)
                        return x->p[1] == '/' ? close_tag(x) : open_tag(x);
                r = pass(x);
                if (r < 0)
                        return r;
        }
        return x->depth == 0 && x->seen_root ? XML_END : -EBADMSG;
}

int xml_next(Xml *x) {
        int r;

        assert(x);

        if (x->closed) {
                x->closed = false;
                x->depth--;
                buffer_clear(&x->text);
        }
        r = next_event(x);
        x->closed = r == XML_CLOSE;
        return r == -EFBIG ? -EBADMSG : r;
}

int xml_take_text(const Xml *x, char **to) {
        assert(x);
        assert(to);

        free(*to);
        *to = memdup0(strempty(x->text.data), x->text.size);
        return *to ? 0 : -ENOMEM;
}
