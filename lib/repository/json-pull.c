/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "repository/json-pull.h"

#define WINDOW_SIZE (16U << 10)

typedef enum Level {
        LEVEL_OBJECT_FIRST, /* behind "{" */
        LEVEL_OBJECT,
        LEVEL_ARRAY_FIRST,
        LEVEL_ARRAY,
} Level;

struct JsonPull {
        JsonPullRead read;
        void *userdata;
        int error;
        bool ended;              /* of the source */
        const char *window;      /* own, or the whole document */
        size_t at, filled, most; /* most: that was ever filled of own */
        uint64_t taken;          /* before the window */
        unsigned depth;
        uint8_t levels[JSON_PULL_DEPTH_MAX];
        Buffer text;
        Buffer kept;      /* of what is kept, the part before the window */
        size_t kept_from; /* in the window */
        bool keeping;
        int kept_error;
        char own[]; /* WINDOW_SIZE */
};

JsonPull *json_pull_free(JsonPull *p) {
        if (!p)
                return NULL;
        if (p->text.data)
                explicit_bzero(p->text.data, p->text.allocated);
        buffer_done(&p->text);
        buffer_done(&p->kept);
        explicit_bzero(p->own, p->most); /* keys come this way, too */
        return mfree(p);
}

/* The window is read only as far as it was filled, and not cleared: most documents are small. */
static JsonPull *pull_alloc(size_t window) {
        JsonPull *p = malloc(sizeof(*p) + window);

        if (!p)
                return NULL;
        memset(p, 0, sizeof(*p));
        p->text = p->kept = BUFFER_LIMITED(JSON_PULL_STRING_MAX);
        return p;
}

int json_pull_new(JsonPullRead read, void *userdata, JsonPull **ret) {
        JsonPull *p;

        assert(read);
        assert(ret);

        p = pull_alloc(WINDOW_SIZE);
        if (!p)
                return -ENOMEM;
        p->read = read;
        p->userdata = userdata;
        p->window = p->own;
        *ret = p;
        return 0;
}

int json_pull_new_text(const char *text, size_t n, JsonPull **ret) {
        JsonPull *p;

        assert(text || n == 0);
        assert(ret);

        p = pull_alloc(0);
        if (!p)
                return -ENOMEM;
        p->window = text;
        p->filled = n;
        p->ended = true;
        *ret = p;
        return 0;
}

uint64_t json_pull_offset(const JsonPull *p) {
        assert(p);

        return p->taken + p->at;
}

ssize_t json_pull_memory(void *userdata, void *buf, size_t n) {
        JsonPullMemory *m = ASSERT_PTR(userdata);

        n = MIN(n, m->n);
        if (n > 0)
                memcpy(buf, m->data, n);
        m->data += n;
        m->n -= n;
        return (ssize_t) n;
}

/* What the window has of what is kept goes where the rest of it is. */
static void keep_window(JsonPull *p) {
        if (p->keeping && p->kept_error >= 0)
                p->kept_error = buffer_add(&p->kept, p->window + p->kept_from, p->at - p->kept_from);
        p->kept_from = 0;
}

void json_pull_keep(JsonPull *p) {
        assert(p);

        buffer_clear(&p->kept);
        p->keeping = true;
        p->kept_from = p->at;
        p->kept_error = 0;
}

int json_pull_kept(JsonPull *p, const char **ret, size_t *ret_n) {
        assert(p && p->keeping);
        assert(ret);
        assert(ret_n);

        keep_window(p);
        p->keeping = false;
        *ret = p->kept.data;
        *ret_n = p->kept.size;
        return p->kept_error;
}

static int fail(JsonPull *p, int error) {
        if (p->error >= 0)
                p->error = error;
        return p->error;
}

/* 1: there are bytes in the window; 0: the end. */
static int fill(JsonPull *p) {
        ssize_t n;

        assert(p);

        if (p->error < 0)
                return p->error;
        if (p->at < p->filled)
                return 1;
        if (p->ended)
                return 0;
        keep_window(p);
        p->taken += p->filled;
        p->at = p->filled = 0;
        n = p->read(p->userdata, p->own, WINDOW_SIZE);
        if (n < 0)
                return fail(p, (int) n);
        p->ended = n == 0;
        p->filled = (size_t) n;
        p->most = MAX(p->most, p->filled);
        return n > 0;
}

/* The next byte, not taken; the end is an error. */
static int peek(JsonPull *p) {
        int r;

        if (p->error >= 0 && p->at < p->filled)
                return (unsigned char) p->window[p->at];
        r = fill(p);
        if (r < 0)
                return r;
        return r > 0 ? (unsigned char) p->window[p->at] : fail(p, -EBADMSG);
}

static int take(JsonPull *p) {
        int c = peek(p);

        if (c >= 0)
                p->at++;
        return c;
}

/* The next byte that is no white space, not taken. */
static int peek_token(JsonPull *p) {
        for (;;) {
                int c = peek(p);

                if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
                        return c;
                p->at++;
        }
}

static int expect(JsonPull *p, char wanted) {
        int c = peek_token(p);

        if (c < 0)
                return c;
        if (c != wanted)
                return fail(p, -EBADMSG);
        p->at++;
        return 0;
}

static int expect_word(JsonPull *p, const char *word) {
        assert(word);

        (void) peek_token(p);
        for (; *word; word++) {
                int c = take(p);

                if (c < 0)
                        return c;
                if (c != *word)
                        return fail(p, -EBADMSG);
        }
        return 0;
}

int json_pull_peek(JsonPull *p) {
        int c;

        assert(p);

        c = peek_token(p);
        if (c < 0)
                return c;
        switch (c) {
        case '{':
                return JSON_PULL_OBJECT;
        case '[':
                return JSON_PULL_ARRAY;
        case '"':
                return JSON_PULL_STRING;
        case 't':
        case 'f':
                return JSON_PULL_BOOLEAN;
        case 'n':
                return JSON_PULL_NULL;
        default:
                return c == '-' || (c >= '0' && c <= '9') ? JSON_PULL_NUMBER : fail(p, -EBADMSG);
        }
}

static int enter(JsonPull *p, char bracket, Level level) {
        int r;

        assert(p);

        r = expect(p, bracket);
        if (r < 0)
                return r;
        if (p->depth == JSON_PULL_DEPTH_MAX)
                return fail(p, -EBADMSG);
        p->levels[p->depth++] = (uint8_t) level;
        return 0;
}

int json_pull_enter_object(JsonPull *p) {
        return enter(p, '{', LEVEL_OBJECT_FIRST);
}

int json_pull_enter_array(JsonPull *p) {
        return enter(p, '[', LEVEL_ARRAY_FIRST);
}

/* Between the parts of an object or array: 1: one more; 0: it ended with this bracket. */
static int next(JsonPull *p, Level first, char bracket) {
        uint8_t *level;
        int c;

        assert(p->depth > 0);

        level = p->levels + p->depth - 1;
        assert(*level == first || *level == first + 1);
        c = peek_token(p);
        if (c < 0)
                return c;
        if (c == bracket) {
                p->at++;
                p->depth--;
                return 0;
        }
        if (*level == first) {
                (*level)++;
                return 1;
        }
        if (c != ',')
                return fail(p, -EBADMSG);
        p->at++;
        return 1;
}

int json_pull_element(JsonPull *p) {
        assert(p);

        return next(p, LEVEL_ARRAY_FIRST, ']');
}

static int hex4(JsonPull *p, uint32_t *ret) {
        uint32_t v = 0;

        for (int i = 0; i < 4; i++) {
                int c = take(p);

                if (c >= '0' && c <= '9')
                        c -= '0';
                else if (c >= 'a' && c <= 'f')
                        c -= 'a' - 10;
                else if (c >= 'A' && c <= 'F')
                        c -= 'A' - 10;
                else
                        return fail(p, -EBADMSG);
                v = v << 4 | (uint32_t) c;
        }
        *ret = v;
        return 0;
}

static int add_char(JsonPull *p, uint32_t v) {
        char utf8[4];
        size_t n = 0;

        if (v < 0x80)
                utf8[n++] = (char) v;
        else if (v < 0x800) {
                utf8[n++] = (char) (0xc0 | v >> 6);
                utf8[n++] = (char) (0x80 | (v & 0x3f));
        } else if (v < 0x10000) {
                utf8[n++] = (char) (0xe0 | v >> 12);
                utf8[n++] = (char) (0x80 | (v >> 6 & 0x3f));
                utf8[n++] = (char) (0x80 | (v & 0x3f));
        } else {
                utf8[n++] = (char) (0xf0 | v >> 18);
                utf8[n++] = (char) (0x80 | (v >> 12 & 0x3f));
                utf8[n++] = (char) (0x80 | (v >> 6 & 0x3f));
                utf8[n++] = (char) (0x80 | (v & 0x3f));
        }
        return buffer_add(&p->text, utf8, n);
}

/* Behind "\u". */
static int add_escaped_char(JsonPull *p) {
        uint32_t v = 0, low = 0;
        int r;

        assert(p);

        r = hex4(p, &v);
        if (r < 0)
                return r;
        if (v >= 0xd800 && v < 0xdc00) {
                if (take(p) != '\\' || take(p) != 'u')
                        return fail(p, -EBADMSG);
                r = hex4(p, &low);
                if (r < 0)
                        return r;
                if (low < 0xdc00 || low > 0xdfff)
                        return fail(p, -EBADMSG);
                v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
        } else if (v == 0 || (v >= 0xdc00 && v <= 0xdfff))
                return fail(p, -EBADMSG);
        return add_char(p, v);
}

/* Behind a backslash. */
static int add_escape(JsonPull *p) {
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *at;
        int c = take(p);

        if (c < 0)
                return c;
        if (c == 'u')
                return add_escaped_char(p);
        at = c ? strchr(from, c) : NULL;
        return at ? buffer_add(&p->text, to + (at - from), 1) : fail(p, -EBADMSG);
}

/* The bytes up to the next one that means something. */
static int add_plain(JsonPull *p) {
        size_t start = p->at, at = start;

        while (at < p->filled) {
                unsigned char c = (unsigned char) p->window[at];

                if (c == '"' || c == '\\' || c < ' ')
                        break;
                at++;
        }
        p->at = at;
        return buffer_add(&p->text, p->window + start, at - start);
}

/* A byte of each. */
#define BYTES(c) (UINT64_C(0x0101010101010101) * (c))

/* Whether one of eight bytes is no ASCII, a control character, a quote or a backslash. */
static bool has_special(const char *s) {
        uint64_t word, quote, backslash;

        memcpy(&word, s, sizeof(word));
        quote = word ^ BYTES('"');
        backslash = word ^ BYTES('\\');
        return (word | (word - BYTES(' ')) | (quote - BYTES(1)) | (backslash - BYTES(1))) & BYTES(0x80);
}

static bool is_special(char c) {
        return (unsigned char) c >= 0x80 || c < ' ' || c == '"' || c == '\\';
}

/* 1: a string that is all in the window, ASCII and without an escape, as nearly every one is. 0: another. */
static int read_plain(JsonPull *p) {
        const char *start = p->window + p->at + 1, *end = p->window + p->filled, *s = start;
        int r;

        while (end - s >= 8 && !has_special(s))
                s += 8;
        while (s < end && !is_special(*s))
                s++;
        if (s == end || *s != '"')
                return 0;
        r = buffer_add(&p->text, start, (size_t) (s - start));
        if (r < 0)
                return fail(p, r == -EFBIG ? -EBADMSG : r);
        p->at = (size_t) (s - p->window) + 1;
        return 1;
}

static int read_any(JsonPull *p) {
        int r = expect(p, '"');

        while (r >= 0) {
                int c = peek(p);

                if (c < 0)
                        return c;
                if (c < ' ')
                        return fail(p, -EBADMSG);
                if (c == '"') {
                        p->at++;
                        r = buffer_reserve(&p->text, 1); /* so that there is a NUL */
                        break;
                }
                if (c == '\\') {
                        p->at++;
                        r = add_escape(p);
                } else
                        r = add_plain(p);
        }
        if (r < 0)
                return fail(p, r == -EFBIG ? -EBADMSG : r);
        return utf8_is_valid(p->text.data, p->text.size) ? 0 : fail(p, -EBADMSG);
}

/* Reads a string into the text buffer; the quote comes next. */
static int read_string(JsonPull *p) {
        int c = peek_token(p), r = 0;

        buffer_clear(&p->text);
        if (c == '"')
                r = read_plain(p);
        return r != 0 ? MIN(r, 0) : read_any(p);
}

int json_pull_member(JsonPull *p, const char **ret) {
        int r;

        assert(p);
        assert(ret);

        r = next(p, LEVEL_OBJECT_FIRST, '}');
        if (r <= 0)
                return r;
        r = read_string(p);
        if (r < 0)
                return r;
        r = expect(p, ':');
        if (r < 0)
                return r;
        *ret = p->text.data;
        return 1;
}

int json_pull_string(JsonPull *p, const char **ret, size_t *ret_n) {
        int r;

        assert(p);
        assert(ret);
        assert(ret_n);

        r = read_string(p);
        if (r < 0)
                return r;
        *ret = p->text.data;
        *ret_n = p->text.size;
        return 0;
}

/* Whether the value ends before this byte. */
static bool ends_value(int c) {
        return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next byte of a number, 0 where the document ends. */
static int peek_number(JsonPull *p) {
        int r = fill(p);

        return r > 0 ? (unsigned char) p->window[p->at] : r;
}

int json_pull_u64(JsonPull *p, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;
        int c, n = 0;

        assert(p);
        assert(ret);

        c = peek_token(p);
        for (; c >= '0' && c <= '9'; c = peek_number(p), n++) {
                unsigned d = (unsigned) (c - '0');

                if ((n == 1 && v == 0) || v > (UINT64_MAX - d) / 10)
                        return fail(p, -EBADMSG);
                v = 10 * v + d;
                p->at++;
        }
        if (c < 0)
                return c;
        if (n == 0 || v > max || (c != 0 && !ends_value(c)))
                return fail(p, -EBADMSG);
        *ret = v;
        return 0;
}

static int skip_digits(JsonPull *p) {
        int c, n = 0;

        for (c = peek_number(p); c >= '0' && c <= '9'; c = peek_number(p), n++)
                p->at++;
        return c < 0 || n > 0 ? c : fail(p, -EBADMSG);
}

/* -? int frac? exp? */
static int skip_number(JsonPull *p) {
        int c = peek_token(p);

        if (c == '-')
                p->at++;
        c = peek(p);
        if (c == '0') {
                p->at++;
                c = peek_number(p);
        } else if (c >= 0)
                c = skip_digits(p);
        if (c == '.') {
                p->at++;
                c = skip_digits(p);
        }
        if (c == 'e' || c == 'E') {
                p->at++;
                c = peek(p);
                if (c == '+' || c == '-')
                        p->at++;
                c = skip_digits(p);
        }
        if (c < 0)
                return c;
        return c == 0 || ends_value(c) ? 0 : fail(p, -EBADMSG);
}

/* A value that holds no other. */
static int skip_scalar(JsonPull *p, JsonPullType type) {
        switch (type) {
        case JSON_PULL_STRING:
                return read_string(p);
        case JSON_PULL_NUMBER:
                return skip_number(p);
        case JSON_PULL_BOOLEAN:
                return expect_word(p, peek_token(p) == 't' ? "true" : "false");
        case JSON_PULL_NULL:
                return expect_word(p, "null");
        case JSON_PULL_OBJECT:
        case JSON_PULL_ARRAY:
        case _JSON_PULL_TYPE_MAX:
        case _JSON_PULL_TYPE_INVALID:
                break;
        }
        return -EINVAL;
}

/* Goes to the next value below depth, leaving what ends; 0: nothing is left there. */
static int skip_on(JsonPull *p, unsigned depth) {
        while (p->depth > depth) {
                const char *name;
                int r;

                r = p->levels[p->depth - 1] <= LEVEL_OBJECT ? json_pull_member(p, &name) :
                                                              json_pull_element(p);
                if (r != 0)
                        return r;
        }
        return 0;
}

int json_pull_skip(JsonPull *p) {
        unsigned depth;
        int r;

        assert(p);

        depth = p->depth;
        do {
                r = json_pull_peek(p);
                if (r < 0)
                        return r;
                if (r == JSON_PULL_OBJECT)
                        r = json_pull_enter_object(p);
                else if (r == JSON_PULL_ARRAY)
                        r = json_pull_enter_array(p);
                else
                        r = skip_scalar(p, (JsonPullType) r);
                if (r >= 0)
                        r = skip_on(p, depth);
        } while (r > 0);
        return r;
}

int json_pull_end(JsonPull *p) {
        int r;

        assert(p);
        assert(p->depth == 0 || p->error < 0);

        for (r = fill(p); r > 0; r = fill(p)) {
                int c = p->window[p->at];

                if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
                        return fail(p, -EBADMSG);
                p->at++;
        }
        return r;
}
