/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "cli/human.h"
#include "cli/show.h"
#include "cli/table.h"
#include "wire/path.h"

#define NESTING_MAX 8

static const json_t *lookup_one(const json_t *object, const char *path, size_t n) {
        const json_t *json = object;

        for (const char *end = path + n; path < end && json;) {
                size_t length = strcspn(path, ".|");
                char key[64];

                if (length >= sizeof(key))
                        return NULL;
                memcpy(key, path, length);
                key[length] = 0;
                json = json_object_get(json, key);
                path += length + 1;
        }
        return json;
}

const json_t *show_lookup(const json_t *object, const char *path) {
        assert(path);

        for (;;) {
                size_t n = strcspn(path, "|");
                const json_t *found = lookup_one(object, path, n);

                if (found && !json_is_null(found))
                        return found;
                if (path[n] == 0)
                        return NULL;
                path += n + 1;
        }
}

/* A scalar, or a path that is no UTF-8, as text. */
static int scalar_text(const json_t *json, char **ret) {
        char *path;

        if (json_is_object(json) && json_to_path(json, &path) >= 0) {
                *ret = path;
                return 0;
        }
        switch (json_typeof(json)) {
        case JSON_STRING:
                return free_and_strdup(ret, json_string_value(json));
        case JSON_INTEGER:
                return asprintf_safe(ret, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        case JSON_REAL:
                return asprintf_safe(ret, "%g", json_real_value(json));
        case JSON_TRUE:
                return free_and_strdup(ret, "yes");
        case JSON_FALSE:
                return free_and_strdup(ret, "no");
        case JSON_NULL:
        case JSON_OBJECT:
        case JSON_ARRAY:
                return 0;
        }
        return 0;
}

static int list_text(const json_t *list, char **ret) {
        _cleanup_(buffer_done) Buffer b = BUFFER_NULL;
        json_t *item;
        size_t i;
        int r;

        json_array_foreach(list, i, item) {
                _cleanup_(freep) char *text = NULL;

                r = scalar_text(item, &text);
                if (r >= 0)
                        r = buffer_printf(&b, "%s%s", i > 0 ? ", " : "", strempty(text));
                if (r < 0)
                        return r;
        }
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

/* The time between the two fields; up to now when the second is not there yet. */
static int span_text(const json_t *object, const char *fields, char **ret) {
        size_t n = strcspn(fields, " ");
        const char *from = json_string_value(lookup_one(object, fields, n));
        const char *to = json_string_value(lookup_one(object, fields + n + 1, strlen(fields + n + 1)));
        usec_t start, end = now_usec(CLOCK_REALTIME);
        char buf[HUMAN_MAX];

        if (!from || parse_rfc3339(from, &start) < 0 || (to && parse_rfc3339(to, &end) < 0))
                return 0;
        return free_and_strdup(ret, human_span(buf, usec_sub(end, start)));
}

int show_value(const json_t *object, const Column *column, char **ret) {
        const json_t *json;
        char buf[HUMAN_MAX];

        assert(column);
        assert(ret);

        if (column->kind == COLUMN_SPAN)
                return span_text(object, column->field, ret);
        json = show_lookup(object, column->field);
        if (!json)
                return 0;
        switch (column->kind) {
        case COLUMN_SIZE:
                return free_and_strdup(ret, human_size(buf, (uint64_t) json_integer_value(json)));
        case COLUMN_TIME:
                return json_is_string(json) ?
                                free_and_strdup(ret, human_time(buf, json_string_value(json))) :
                                0;
        case COLUMN_FLAG:
                return json_is_true(json) ? free_and_strdup(ret, "yes") : 0;
        case COLUMN_LIST:
                return list_text(json, ret);
        case COLUMN_TEXT:
        case COLUMN_NUMBER:
        case COLUMN_SPAN:
                return scalar_text(json, ret);
        }
        return 0;
}

int show_json(const json_t *json) {
        _cleanup_(freep) char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);

        if (!text)
                return -ENOMEM;
        return puts(text) < 0 ? -EIO : 0;
}

int show_list(const Cli *c, const json_t *items, const Column *columns, size_t n_columns) {
        _cleanup_(table_done) Table table = { .n_columns = n_columns };
        json_t *item;
        size_t i;
        int r;

        assert(c);
        assert(columns);

        if (c->json)
                return show_json(items);
        for (size_t j = 0; j < n_columns; j++) {
                if (columns[j].kind == COLUMN_NUMBER || columns[j].kind == COLUMN_SIZE)
                        table.right |= UINT64_C(1) << j;
                r = table_add(&table, columns[j].title);
                if (r < 0)
                        return r;
        }
        json_array_foreach(items, i, item) {
                for (size_t j = 0; j < n_columns; j++) {
                        _cleanup_(freep) char *text = NULL;

                        r = show_value(item, columns + j, &text);
                        if (r >= 0)
                                r = table_add(&table, text);
                        if (r < 0)
                                return r;
                }
        }
        return table_print(&table, stdout);
}

/* "bytes_read" → "Bytes read". */
static void print_title(const char *key, int indent) {
        printf("%*s", indent, "");
        for (const char *p = key; *p; p++)
                putchar(p == key && *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p == '_' ? ' ' :
                                                                                          *p);
        putchar(':');
}

static ColumnKind kind_of_field(const char *key) {
        if (endswith(key, "_at") || endswith(key, "_seen") || streq(key, "scheduled_for") ||
            streq(key, "deadline"))
                return COLUMN_TIME;
        if (streq(key, "size") || startswith(key, "bytes_") || endswith(key, "_bytes"))
                return COLUMN_SIZE;
        return COLUMN_TEXT;
}

static bool is_flat_list(const json_t *json) {
        json_t *item;
        size_t i;

        json_array_foreach(json, i, item) {
                if (json_is_array(item) || (json_is_object(item) && json_object_size(item) != 1))
                        return false;
        }
        return true;
}

static int print_line(const json_t *object, const char *key, const json_t *value, int indent) {
        Column column = { .field = key, .kind = json_is_array(value) ? COLUMN_LIST : kind_of_field(key) };
        _cleanup_(freep) char *text = NULL, *safe = NULL;
        int r;

        r = show_value(object, &column, &text);
        if (r >= 0)
                r = text_safe(isempty(text) ? "-" : text, &safe);
        if (r < 0)
                return r;
        print_title(key, indent);
        printf(" %s\n", safe);
        return 0;
}

/* Recursion is bounded: the parser refuses what nests deeper than NESTING_MAX twice over. */
static int print_fields(const json_t *object, int indent) {
        const char *key;
        json_t *value, *item;
        size_t i;
        int r;

        json_object_foreach((json_t *) object, key, value) {
                bool is_path = json_is_object(value) && json_object_size(value) == 1 &&
                                json_object_get(value, "base64");

                if (indent / 2 >= NESTING_MAX || is_path ||
                    (!json_is_object(value) && is_flat_list(value))) {
                        r = print_line(object, key, value, indent);
                        if (r < 0)
                                return r;
                        continue;
                }
                print_title(key, indent);
                putchar('\n');
                if (json_is_object(value)) {
                        r = print_fields(value, indent + 2);
                        if (r < 0)
                                return r;
                        continue;
                }
                json_array_foreach(value, i, item) {
                        r = print_fields(item, indent + 2);
                        if (r < 0)
                                return r;
                        if (i + 1 < json_array_size(value))
                                putchar('\n');
                }
        }
        return 0;
}

int show_object(const Cli *c, const json_t *object) {
        assert(c);

        return c->json ? show_json(object) : print_fields(object, 0);
}
