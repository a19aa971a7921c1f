/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdarg.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/encode.h"
#include "base/text.h"
#include "wire/json.h"

#define FIELD_DEPTH_MAX 16
#define UNKNOWN_NAME_MAX 64 /* of a client's field name in our message */
#define ITEM_NAME_MAX 64    /* "excludes[3]": the names are ours */

/* "source.paths[3]": the way from the top to field key of r. */
static int field_name(const JsonReader *r, const char *key, Buffer *ret) {
        const JsonReader *chain[FIELD_DEPTH_MAX];
        size_t n = 0;
        int k = 0;

        assert(ret);

        for (const JsonReader *p = r; p && p->key && n < FIELD_DEPTH_MAX; p = p->parent)
                chain[n++] = p;
        while (n > 0 && k >= 0) {
                const JsonReader *p = chain[--n];

                k = buffer_printf(ret, "%s%s", ret->size > 0 ? "." : "", p->key);
                if (k >= 0 && p->index != SIZE_MAX)
                        k = buffer_printf(ret, "[%zu]", p->index);
        }
        if (k >= 0 && key)
                k = buffer_printf(ret, "%s%s", ret->size > 0 ? "." : "", key);
        return k;
}

/* An error of a part is one of the whole. */
static void stick(JsonReader *r, int error) {
        for (JsonReader *p = r; p; p = p->parent)
                if (p->error >= 0)
                        p->error = error;
}

_printf_(4, 5) static int fail(JsonReader *r, const char *code, const char *key, const char *format, ...) {
        _cleanup_buffer_ Buffer name = BUFFER_NULL;
        _cleanup_(freep) char *text = NULL;
        const char *field;
        va_list ap;
        int k;

        if (r->error < 0)
                return r->error;
        va_start(ap, format);
        k = vasprintf_safe(&text, format, ap);
        va_end(ap);
        if (k >= 0)
                k = field_name(r, key, &name);
        if (k < 0) {
                stick(r, k);
                return k;
        }
        field = name.size > 0 ? name.data : NULL;
        stick(r, -EBADMSG);
        if (field)
                return failure_set_field(r->failure, -EBADMSG, code, field, "Field '%s' %s", field, text);
        return failure_set(r->failure, -EBADMSG, code, "The document %s", text);
}

_printf_(4, 0) static int vfail(JsonReader *r, const char *code, const char *key, const char *format,
                                va_list ap) {
        _cleanup_(freep) char *text = NULL;
        int k;

        k = vasprintf_safe(&text, format, ap);
        if (k < 0) {
                stick(r, k);
                return k;
        }
        return fail(r, code, key, "%s", text);
}

int json_reader_fail(JsonReader *r, const char *key, const char *format, ...) {
        va_list ap;
        int k;

        assert(r);
        assert(format);

        va_start(ap, format);
        k = vfail(r, "FIELD_INVALID", key, format, ap);
        va_end(ap);
        return k;
}

int json_reader_fail_code(JsonReader *r, const char *code, const char *key, const char *format, ...) {
        va_list ap;
        int k;

        assert(r);
        assert(code);
        assert(format);

        va_start(ap, format);
        k = vfail(r, code, key, format, ap);
        va_end(ap);
        return k;
}

int json_reader_fail_item(JsonReader *r, const char *key, size_t index, const char *format, ...) {
        char name[ITEM_NAME_MAX];
        va_list ap;
        int k;

        assert(r);
        assert(key);
        assert(format);

        (void) snprintf(name, sizeof(name), "%s[%zu]", key, index);
        va_start(ap, format);
        k = vfail(r, "FIELD_INVALID", name, format, ap);
        va_end(ap);
        return k;
}

int json_reader_init(JsonReader *r, const json_t *object, Failure *reterr_failure) {
        assert(r);

        *r = (JsonReader){ .object = object, .index = SIZE_MAX, .failure = reterr_failure };
        if (!json_is_object(object))
                return json_reader_fail(r, NULL, "has to be a JSON object");
        return 0;
}

/* Marks the field as known and finds it. 1: there; 0: absent. */
static int find(JsonReader *r, const char *key, JsonPresence presence, const json_t **ret) {
        const json_t *value;

        assert(r);
        assert(key);

        assert(r->n_seen < JSON_READER_FIELDS_MAX);
        r->seen[r->n_seen++] = key;
        if (r->error < 0)
                return r->error;
        value = json_object_get(r->object, key);
        if (!value || json_is_null(value))
                return presence == JSON_REQUIRED ? fail(r, "FIELD_MISSING", key, "is missing") : 0;
        *ret = value;
        return 1;
}

int json_reader_value(JsonReader *r, const char *key, JsonPresence presence, const json_t **ret) {
        assert(ret);

        return find(r, key, presence, ret);
}

int json_reader_object(JsonReader *r, const char *key, JsonPresence presence, JsonReader *ret) {
        const json_t *value = NULL;
        int k;

        assert(r);
        assert(ret);

        *ret = (JsonReader){
                .parent = r, .key = key, .index = SIZE_MAX, .failure = r->failure, .error = r->error
        };
        k = find(r, key, presence, &value);
        if (k > 0 && !json_is_object(value))
                k = json_reader_fail(r, key, "has to be an object");
        ret->error = r->error;
        ret->object = k > 0 ? value : NULL;
        return k;
}

int json_reader_element(JsonReader *r, const char *key, size_t index, const json_t *element,
                        JsonReader *ret) {
        assert(r);
        assert(key);
        assert(ret);

        *ret = (JsonReader){
                .object = element,
                .parent = r,
                .key = key,
                .index = index,
                .failure = r->failure,
                .error = r->error,
        };
        if (!json_is_object(element))
                return json_reader_fail(ret, NULL, "has to be an object");
        return r->error;
}

int json_reader_string(JsonReader *r, const char *key, JsonPresence presence, size_t max, const char **ret) {
        const json_t *value = NULL;
        int k;

        assert(ret);

        k = find(r, key, presence, &value);
        if (k <= 0)
                return k;
        if (!json_is_string(value))
                return json_reader_fail(r, key, "has to be a string");
        if (json_string_length(value) > max)
                return json_reader_fail(r, key, "is longer than %zu bytes", max);
        if (presence == JSON_REQUIRED && json_string_length(value) == 0)
                return json_reader_fail(r, key, "must not be empty");
        *ret = json_string_value(value);
        return 1;
}

int json_reader_strdup(JsonReader *r, const char *key, JsonPresence presence, size_t max, char **ret) {
        const char *s = NULL;
        int k;

        assert(ret);

        k = json_reader_string(r, key, presence, max, &s);
        if (k <= 0)
                return k;
        k = free_and_strdup(ret, s);
        if (k < 0) {
                stick(r, k);
                return k;
        }
        return 1;
}

int json_reader_u64(JsonReader *r, const char *key, JsonPresence presence, uint64_t max, uint64_t *ret) {
        const json_t *value = NULL;
        int k;

        assert(ret);

        k = find(r, key, presence, &value);
        if (k <= 0)
                return k;
        if (!json_is_integer(value))
                return json_reader_fail(r, key, "has to be a whole number");
        if (json_integer_value(value) < 0 || (uint64_t) json_integer_value(value) > max)
                return json_reader_fail(r, key, "has to be between 0 and %" PRIu64, max);
        *ret = (uint64_t) json_integer_value(value);
        return 1;
}

int json_reader_u32(JsonReader *r, const char *key, JsonPresence presence, uint32_t max, uint32_t *ret) {
        uint64_t v = 0;
        int k;

        assert(ret);

        k = json_reader_u64(r, key, presence, max, &v);
        if (k > 0)
                *ret = (uint32_t) v;
        return k;
}

int json_reader_bool(JsonReader *r, const char *key, JsonPresence presence, bool *ret) {
        const json_t *value = NULL;
        int k;

        assert(ret);

        k = find(r, key, presence, &value);
        if (k <= 0)
                return k;
        if (!json_is_boolean(value))
                return json_reader_fail(r, key, "has to be true or false");
        *ret = json_is_true(value);
        return 1;
}

int json_reader_time(JsonReader *r, const char *key, JsonPresence presence, usec_t *ret) {
        const char *s = NULL;
        int k;

        assert(ret);

        k = json_reader_string(r, key, presence, RFC3339_MAX + 8, &s);
        if (k <= 0)
                return k;
        if (parse_rfc3339(s, ret) < 0)
                return json_reader_fail(r, key, "has to be a time like 2026-11-22T22:15:01Z");
        return 1;
}

int json_reader_array(JsonReader *r, const char *key, JsonPresence presence, size_t max,
                      const json_t **ret) {
        const json_t *value = NULL;
        int k;

        assert(ret);

        k = find(r, key, presence, &value);
        if (k <= 0)
                return k;
        if (!json_is_array(value))
                return json_reader_fail(r, key, "has to be a list");
        if (json_array_size(value) > max)
                return json_reader_fail(r, key, "has more than %zu items", max);
        *ret = value;
        return 1;
}

int json_reader_strv(JsonReader *r, const char *key, JsonPresence presence, size_t max_items,
                     size_t max_length, char ***ret) {
        _cleanup_(strv_freep) char **list = NULL;
        const json_t *array = NULL, *item;
        size_t i;
        int k;

        assert(ret);

        k = json_reader_array(r, key, presence, max_items, &array);
        if (k <= 0)
                return k;
        json_array_foreach((json_t *) array, i, item) {
                if (!json_is_string(item))
                        return json_reader_fail_item(r, key, i, "has to be a string");
                if (json_string_length(item) == 0 || json_string_length(item) > max_length)
                        return json_reader_fail_item(r, key, i, "has to have 1 to %zu bytes", max_length);
                k = strv_extend(&list, json_string_value(item));
                if (k < 0) {
                        stick(r, k);
                        return k;
                }
        }
        strv_free(*ret);
        *ret = TAKE_PTR(list);
        return 1;
}

int json_reader_rows(JsonReader *r, const char *key, JsonPresence presence, const JsonRows *rows, void *ret,
                     size_t *ret_n) {
        const json_t *array = NULL, *item;
        char *items;
        size_t i;
        int k;

        assert(r);
        assert(rows && rows->size > 0 && rows->read);
        assert(ret);
        assert(ret_n);

        k = json_reader_array(r, key, presence, rows->max, &array);
        if (k <= 0 || json_array_size(array) == 0)
                return k;
        items = calloc(json_array_size(array), rows->size);
        if (!items) {
                stick(r, -ENOMEM);
                return -ENOMEM;
        }
        *(char **) ret = items;
        *ret_n = json_array_size(array);
        json_array_foreach((json_t *) array, i, item) {
                JsonReader row;

                (void) json_reader_element(r, key, i, item, &row);
                rows->read(&row, items + i * rows->size);
        }
        return r->error < 0 ? r->error : 1;
}

int json_reader_hex(JsonReader *r, const char *key, JsonPresence presence, void *ret, size_t n) {
        const char *s = NULL;
        int k;

        assert(ret);

        k = json_reader_string(r, key, presence, 2 * n, &s);
        if (k <= 0)
                return k;
        if (strlen(s) != 2 * n || hex_decode(s, ret, n) < 0)
                return json_reader_fail(r, key, "has to be %zu hexadecimal digits", 2 * n);
        return 1;
}

int json_reader_enum(JsonReader *r, const char *key, JsonPresence presence, JsonLookup lookup, int *ret) {
        const char *s = NULL;
        int k, v;

        assert(lookup);
        assert(ret);

        k = json_reader_string(r, key, presence, UNKNOWN_NAME_MAX, &s);
        if (k <= 0)
                return k;
        v = lookup(s);
        if (v < 0)
                return json_reader_fail(r, key, "does not know the value '%s'", s);
        *ret = v;
        return 1;
}

int json_reader_finish_lenient(JsonReader *r) {
        assert(r);

        return r->error;
}

/* Names of clients are text for people here: what would not print is left out. */
static void printable(const char *name, char buf[static UNKNOWN_NAME_MAX]) {
        size_t n = 0;

        for (const char *p = name; *p && n < UNKNOWN_NAME_MAX - 1; p++)
                if (*p > ' ' && *p < 0x7f)
                        buf[n++] = *p;
        buf[n] = 0;
}

static const char *find_unknown(const JsonReader *r) {
        const char *key;
        json_t *value;

        assert(r);

        json_object_foreach((json_t *) r->object, key, value) {
                bool known = false;

                for (size_t i = 0; i < r->n_seen && !known; i++)
                        known = streq(r->seen[i], key);
                if (!known)
                        return key;
        }
        return NULL;
}

/* A misspelt name is two mistakes, one field that is missing and one that is not known: the second explains
 * the first. */
static bool explains(const JsonReader *r) {
        return r->error == -EBADMSG && r->failure && streq(r->failure->code, "FIELD_MISSING");
}

int json_reader_finish(JsonReader *r) {
        char name[UNKNOWN_NAME_MAX];
        const char *unknown;

        assert(r);

        unknown = r->object ? find_unknown(r) : NULL;
        if (!unknown || (r->error < 0 && !explains(r)))
                return r->error;
        if (r->error < 0) {
                failure_done(r->failure);
                for (JsonReader *p = r; p; p = p->parent)
                        p->error = 0;
        }
        printable(unknown, name);
        return fail(r, "FIELD_UNKNOWN", name, "is not known here");
}
