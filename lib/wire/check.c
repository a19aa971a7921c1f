/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/check.h"
#include "wire/path.h"

static const char *const check_state_table[_CHECK_STATE_MAX] = {
        [CHECK_STATE_OK] = "ok",
        [CHECK_STATE_WARNING] = "warning",
        [CHECK_STATE_ERROR] = "error",
};

DEFINE_STRING_TABLE(check_state, CheckState);

/* --- Making --------------------------------------------------------------------------------------- */

/* Not in the middle of a character. */
static size_t cut(const char *s, size_t max) {
        size_t n = strnlen(s, max + 1);

        if (n <= max)
                return n;
        for (n = max; n > 0 && ((unsigned char) s[n] & 0xc0) == 0x80; n--)
                ;
        return n;
}

/* Whatever it is, as text that can be shown. */
static json_t *presentable(const char *s) {
        _cleanup_(freep) char *shown = NULL;

        if (path_display(s, &shown) < 0)
                return NULL;
        return json_stringn(shown, cut(shown, CHECK_TEXT_MAX));
}

/* Takes text and hint over; code may be NULL. */
static int append(json_t *items, const char *name, CheckState state, const char *code, json_t *text,
                  json_t *hint) {
        json_t *item = json_object();
        int r, k;

        r = json_set(item, "name", json_string(name));
        if (r >= 0)
                r = json_set(item, "state", json_string(check_state_to_string(state)));
        if (r >= 0 && code)
                r = json_set(item, "code", json_string(code));
        k = json_set(item, "text", text);
        r = r < 0 ? r : k;
        k = json_set(item, "hint", hint);
        r = r < 0 ? r : k;
        if (r < 0) {
                json_decref(item);
                return r;
        }
        return json_append(items, item);
}

int check_add(json_t *items, const char *name, CheckState state, const char *hint, const char *format, ...) {
        _cleanup_(freep) char *text = NULL;
        va_list arguments;
        int r;

        assert(items);
        assert(name);
        assert(state >= 0 && state < _CHECK_STATE_MAX);
        assert(format);

        va_start(arguments, format);
        r = vasprintf_safe(&text, format, arguments);
        va_end(arguments);
        if (r < 0)
                return r;
        return append(items, name, state, /* code= */ NULL, presentable(text),
                      hint ? presentable(hint) : json_null());
}

int check_add_failure(json_t *items, const char *name, const Failure *failure, int error) {
        assert(items);
        assert(name);
        assert(error < 0);

        return append(items, name, CHECK_STATE_ERROR,
                      failure_is_set(failure) ? failure->code : NULL,
                      presentable(failure_message(failure, error)), json_null());
}

/* --- Summing up ----------------------------------------------------------------------------------- */

static CheckState state_of(const json_t *item) {
        CheckState s = check_state_from_string(json_string_value(json_object_get(item, "state")));

        return s < 0 ? CHECK_STATE_OK : s;
}

CheckState check_worst(const json_t *items, unsigned *ret_n) {
        CheckState worst = CHECK_STATE_OK;
        const json_t *item;
        unsigned n = 0;
        size_t i;

        json_array_foreach((json_t *) items, i, item) {
                CheckState s = state_of(item);

                n = s > worst ? 1 : n + (s == worst);
                worst = MAX(worst, s);
        }
        if (ret_n)
                *ret_n = n;
        return worst;
}

int check_summary(const json_t *items, char **ret) {
        CheckState worst;
        const json_t *item;
        unsigned n;
        size_t i;

        assert(ret);

        worst = check_worst(items, &n);
        *ret = NULL;
        if (worst == CHECK_STATE_OK)
                return 0;
        json_array_foreach((json_t *) items, i, item) {
                if (state_of(item) != worst)
                        continue;
                return asprintf_safe(ret, "%u %s%s: %s: %s", n, check_state_to_string(worst),
                                     n == 1 ? "" : "s", json_string_value(json_object_get(item, "name")),
                                     json_string_value(json_object_get(item, "text")));
        }
        return 0;
}

/* --- Reading -------------------------------------------------------------------------------------- */

static int lookup_state(const char *s) {
        return (int) check_state_from_string(s);
}

static int read_item(JsonReader *r, json_t *items) {
        _cleanup_(freep) char *name = NULL, *code = NULL, *text = NULL, *hint = NULL;
        int state = CHECK_STATE_OK;

        json_reader_strdup(r, "name", JSON_REQUIRED, CHECK_NAME_MAX, &name);
        json_reader_enum(r, "state", JSON_REQUIRED, lookup_state, &state);
        json_reader_strdup(r, "code", JSON_OPTIONAL, CHECK_NAME_MAX, &code);
        json_reader_strdup(r, "text", JSON_REQUIRED, CHECK_TEXT_MAX, &text);
        json_reader_strdup(r, "hint", JSON_OPTIONAL, CHECK_TEXT_MAX, &hint);
        if (!name || !text)
                return 0; /* the reader knows why */
        return append(items, name, (CheckState) state, code, json_string(text), json_from_string(hint));
}

static int read_items(JsonReader *r, json_t *items) {
        const json_t *array = NULL, *item;
        size_t i;
        int k;

        if (json_reader_array(r, "items", JSON_REQUIRED, CHECK_ITEMS_MAX, &array) <= 0)
                return 0;
        json_array_foreach((json_t *) array, i, item) {
                JsonReader row;

                json_reader_element(r, "items", i, item, &row);
                k = read_item(&row, items);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int read_tools(JsonReader *r, json_t *tools) {
        const json_t *object = NULL;
        const char *name;
        json_t *value;
        int k;

        if (json_reader_value(r, "tools", JSON_OPTIONAL, &object) <= 0)
                return 0;
        if (!json_is_object(object) || json_object_size(object) > CHECK_TOOLS_MAX)
                return json_reader_fail(r, "tools", "has to be an object of at most %d names",
                                        CHECK_TOOLS_MAX);
        json_object_foreach((json_t *) object, name, value) {
                if (!json_is_string(value) || strlen(name) > CHECK_NAME_MAX ||
                    json_string_length(value) > CHECK_NAME_MAX)
                        return json_reader_fail(r, "tools", "has to hold versions of at most %d bytes",
                                                CHECK_NAME_MAX);
                k = json_set(tools, name, json_incref(value));
                if (k < 0)
                        return k;
        }
        return 0;
}

int check_report_parse(const json_t *json, json_t **ret, Failure *reterr_failure) {
        _cleanup_json_ json_t *report = json_object(), *items = json_array(), *tools = json_object();
        JsonReader r;
        int k;

        assert(ret);

        if (!report || !items || !tools)
                return -ENOMEM;
        (void) json_reader_init(&r, json, reterr_failure);
        k = read_items(&r, items);
        if (k >= 0)
                k = read_tools(&r, tools);
        if (k == -ENOMEM)
                return k;
        k = json_reader_finish_lenient(&r);
        if (k >= 0)
                k = json_set(report, "items", TAKE_PTR(items));
        if (k >= 0)
                k = json_set(report, "tools", TAKE_PTR(tools));
        if (k < 0)
                return k;
        *ret = TAKE_PTR(report);
        return 0;
}
