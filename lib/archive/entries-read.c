/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "archive/listing-text.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "wire/json.h"

#define DIR_HEAD "{\"dir\":"

int entries_compare(const char *a, const char *b) {
        uint8_t x, y;

        assert(a);
        assert(b);

        /* The root is above everything. */
        if (*a == 0 || *b == 0)
                return (*a == 0) - (*b == 0);
        for (; *a && *a == *b; a++, b++)
                ;
        x = (uint8_t) *a;
        y = (uint8_t) *b;
        if (x == y)
                return 0;
        /* One is above the other: what is above comes later. */
        if (x == 0 && y == '/')
                return 1;
        if (x == '/' && y == 0)
                return -1;
        /* The end of a part is before any byte. */
        if (x == '/' || x == 0)
                return -1;
        if (y == '/' || y == 0)
                return 1;
        return x < y ? -1 : 1;
}

int listing_path_parse(const json_t *json, char **ret) {
        const json_t *encoded = json_object_get(json, "base64");
        _cleanup_(freep) void *bytes = NULL;
        size_t n = 0;
        char *path;
        int r;

        assert(ret);

        if (json_is_string(json)) {
                path = memdup0(json_string_value(json), json_string_length(json));
                if (!path)
                        return -ENOMEM;
                *ret = path;
                return 0;
        }
        if (!json_is_string(encoded) || json_object_size(json) != 1)
                return -EBADMSG;
        r = base64_decode(BASE64_STANDARD, json_string_value(encoded), json_string_length(encoded), &bytes,
                          &n);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || n == 0 || memchr(bytes, 0, n))
                return -EBADMSG;
        *ret = TAKE_PTR(bytes);
        return 0;
}

/* --- Lines -------------------------------------------------------------------------------------------- */

typedef struct Lines {
        const char *p, *end;
} Lines;

/* The next line without its newline; false at the end. A last line without one is a line. */
static bool lines_next(Lines *l, const char **ret, size_t *ret_n) {
        const char *newline;

        assert(l);

        if (l->p >= l->end)
                return false;
        newline = memchr(l->p, '\n', (size_t) (l->end - l->p));
        *ret = l->p;
        *ret_n = (size_t) ((newline ? newline : l->end) - l->p);
        l->p = newline ? newline + 1 : l->end;
        return true;
}

static int line_parse(const char *line, size_t n, json_t **ret) {
        return json_parse_strict(line, n, JSON_DEPTH_DEFAULT, ret, /* reterr_failure= */ NULL);
}

static int number_get(const json_t *v, uint64_t max, uint64_t *ret) {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t) json_integer_value(v) > max)
                return -EBADMSG;
        *ret = (uint64_t) json_integer_value(v);
        return 0;
}

static int number32_get(const json_t *v, uint32_t max, uint32_t *ret) {
        uint64_t value;
        int r;

        r = number_get(v, max, &value);
        if (r < 0)
                return r;
        *ret = (uint32_t) value;
        return 0;
}

/* An optional path in field key. */
static int path_get(const json_t *o, const char *key, char **ret) {
        const json_t *v = json_object_get(o, key);

        return v ? listing_path_parse(v, ret) : 0;
}

static int numbers_parse(const json_t *o, Entry *e) {
        const json_t *mtime = json_object_get(o, "mtime"), *sec = json_array_get(mtime, 0);
        const json_t *size = json_object_get(o, "size"), *device = json_object_get(o, "device");
        Member *m = &e->member;

        if (number32_get(json_object_get(o, "mode"), 07777, &m->mode) < 0 ||
            number_get(json_object_get(o, "uid"), UINT32_MAX, &m->uid) < 0 ||
            number_get(json_object_get(o, "gid"), UINT32_MAX, &m->gid) < 0 ||
            number_get(json_object_get(o, "at"), INT64_MAX, &e->offset) < 0 ||
            number_get(json_object_get(o, "length"), INT64_MAX, &e->length) < 0 ||
            number32_get(json_array_get(mtime, 1), 999999999, &m->mtime_nsec) < 0 || !json_is_integer(sec))
                return -EBADMSG;
        m->mtime_sec = json_integer_value(sec);
        if (e->length > (uint64_t) INT64_MAX - e->offset)
                return -EBADMSG;
        if (size && number_get(size, INT64_MAX, &m->size) < 0)
                return -EBADMSG;
        if (device &&
            (number32_get(json_array_get(device, 0), UINT32_MAX, &m->major) < 0 ||
             number32_get(json_array_get(device, 1), UINT32_MAX, &m->minor) < 0))
                return -EBADMSG;
        return 0;
}

/* A name is one part of a path; directory NULL stands for the root, which has none. */
static int name_parse(const json_t *o, const char *directory, char **ret) {
        _cleanup_(freep) char *name = NULL;
        int r;

        r = path_get(o, "name", &name);
        if (r < 0)
                return r;
        if (!name || strchr(name, '/') || streq(name, ".") || streq(name, "..") ||
            (name[0] == 0) != !directory)
                return -EBADMSG;
        if (isempty(directory)) {
                *ret = TAKE_PTR(name);
                return 0;
        }
        return asprintf_safe(ret, "%s/%s", directory, name);
}

static int entry_parse(const char *line, size_t n, const char *directory, Entry *ret) {
        _cleanup_(entry_done) Entry e = ENTRY_NULL;
        _cleanup_json_ json_t *o = NULL;
        int r;

        r = line_parse(line, n, &o);
        if (r < 0)
                return r;
        r = name_parse(o, directory, &e.member.path);
        if (r < 0)
                return r;
        e.member.type = member_type_from_string(json_string_value(json_object_get(o, "type")));
        if (e.member.type < 0)
                return -EBADMSG;
        r = numbers_parse(o, &e);
        if (r >= 0)
                r = path_get(o, "user", &e.member.user);
        if (r >= 0)
                r = path_get(o, "group", &e.member.group);
        if (r >= 0)
                r = path_get(o, "target", &e.member.target);
        if (r < 0)
                return r;
        if (!e.member.target && (e.member.type == MEMBER_SYMLINK || e.member.type == MEMBER_HARDLINK))
                return -EBADMSG;
        e.parent = json_is_true(json_object_get(o, "parent"));
        e.incomplete = json_is_true(json_object_get(o, "incomplete"));
        *ret = e;
        e = ENTRY_NULL;
        return 0;
}

/* The directory of a head line; NULL: the root stands in it. */
static int head_parse(const char *line, size_t n, char **ret) {
        _cleanup_json_ json_t *o = NULL;
        _cleanup_(freep) char *directory = NULL;
        const json_t *v;
        int r;

        r = line_parse(line, n, &o);
        if (r < 0)
                return r;
        v = json_object_get(o, "dir");
        if (!json_is_null(v)) {
                r = listing_path_parse(v, &directory);
                if (r < 0)
                        return r;
        }
        free(*ret);
        *ret = TAKE_PTR(directory);
        return 0;
}

int entries_parse_list(const void *p, size_t n, const char *only, EntriesFunc func, void *userdata) {
        Lines lines = { .p = p, .end = (const char *) p + n };
        _cleanup_(freep) char *directory = NULL;
        bool headed = false;
        const char *line;
        size_t size;
        int r;

        assert(p || n == 0);
        assert(func);

        while (lines_next(&lines, &line, &size)) {
                _cleanup_(entry_done) Entry e = ENTRY_NULL;

                if (size > STRLEN(DIR_HEAD) && memcmp(line, DIR_HEAD, STRLEN(DIR_HEAD)) == 0) {
                        r = head_parse(line, size, &directory);
                        if (r < 0)
                                return r;
                        headed = true;
                        continue;
                }
                if (!headed)
                        return -EBADMSG;
                if (only && (!directory || !streq(directory, only)))
                        continue;
                r = entry_parse(line, size, directory, &e);
                if (r < 0)
                        return r;
                r = func(userdata, directory, &e);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int numbers_get(const json_t *array, uint64_t **ret, size_t *ret_n) {
        _cleanup_(freep) uint64_t *numbers = NULL;
        size_t n = json_array_size(array);

        if (!json_is_array(array))
                return -EBADMSG;
        numbers = new0(uint64_t, n + 1);
        if (!numbers)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (number_get(json_array_get(array, i), INT64_MAX, &numbers[i]) < 0 ||
                    (i > 0 && numbers[i] <= numbers[i - 1]))
                        return -EBADMSG;
        *ret = TAKE_PTR(numbers);
        *ret_n = n;
        return 0;
}

int entries_parse_index(const void *p, size_t n, const char *directory, uint64_t **ret, size_t *ret_n) {
        Lines lines = { .p = p, .end = (const char *) p + n };
        const char *line;
        size_t size;

        assert(p || n == 0);
        assert(directory);
        assert(ret);
        assert(ret_n);

        while (lines_next(&lines, &line, &size)) {
                _cleanup_json_ json_t *o = NULL;
                _cleanup_(freep) char *path = NULL;
                int r;

                r = line_parse(line, size, &o);
                if (r >= 0)
                        r = path_get(o, "index", &path);
                if (r < 0)
                        return r;
                if (!path)
                        return -EBADMSG;
                if (!streq(path, directory))
                        continue;
                r = numbers_get(json_object_get(o, "frames"), ret, ret_n);
                return r < 0 ? r : 1;
        }
        return 0;
}

typedef struct Table {
        Frame *frames;
        size_t n, allocated;
        uint64_t offset, plain_offset;
} Table;

static void table_done(Table *t) {
        free(t->frames);
}

static int table_add(Table *t, const json_t *a) {
        const char *hex = json_string_value(json_array_get(a, 2));
        Frame f = { .offset = t->offset, .plain_offset = t->plain_offset };

        if (json_array_size(a) != 3 || !hex ||
            number32_get(json_array_get(a, 0), UINT32_MAX, &f.size) < 0 ||
            number32_get(json_array_get(a, 1), FRAME_PLAIN_MAX, &f.plain_size) < 0 ||
            hex_decode(hex, f.sha256, SHA256_SIZE) < 0)
                return -EBADMSG;
        if (f.size == 0 || f.plain_size == 0 || f.size > frame_bound(f.plain_size))
                return -EBADMSG;
        if (t->n == t->allocated) {
                size_t n = t->allocated == 0 ? 256 : 2 * t->allocated;
                Frame *grown = reallocarray(t->frames, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                t->frames = grown;
                t->allocated = n;
        }
        t->frames[t->n++] = f;
        t->offset += f.size;
        t->plain_offset += f.plain_size;
        return 0;
}

int entries_parse_table(const void *p, size_t n, const EntriesFrame *table, Frame **ret, size_t *ret_n) {
        Lines lines = { .p = p, .end = (const char *) p + n };
        _cleanup_(table_done) Table t = {};
        const char *line;
        size_t size;

        assert(p || n == 0);
        assert(table);
        assert(ret);
        assert(ret_n);

        t.offset = table->data_offset;
        t.plain_offset = table->data_plain_offset;
        while (lines_next(&lines, &line, &size)) {
                _cleanup_json_ json_t *o = NULL;
                const json_t *frames;
                int r;

                r = line_parse(line, size, &o);
                if (r < 0)
                        return r;
                frames = json_object_get(o, "table");
                if (!json_is_array(frames))
                        return -EBADMSG;
                for (size_t i = 0; r >= 0 && i < json_array_size(frames); i++)
                        r = table_add(&t, json_array_get(frames, i));
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(t.frames);
        *ret_n = t.n;
        return 0;
}
