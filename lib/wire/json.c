/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/json.h"

/* Brackets outside of strings: jansson's own limit of 2048 levels is more stack than a client may choose.
 * What is not JSON at all is left to the parser. */
static bool is_too_deep(const char *data, size_t n, size_t limit) {
        bool in_string = false;
        size_t depth = 0;

        for (size_t i = 0; i < n; i++) {
                char c = data[i];

                if (in_string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                in_string = false;
                } else if (c == '"')
                        in_string = true;
                else if (c == '{' || c == '[') {
                        if (++depth > limit)
                                return true;
                } else if ((c == '}' || c == ']') && depth > 0)
                        depth--;
        }
        return false;
}

int json_parse_strict(const void *data, size_t n, size_t depth, json_t **ret, Failure *reterr_failure) {
        json_error_t error;
        json_t *json;

        assert(data || n == 0);
        assert(ret);

        if (is_too_deep(data, n, depth))
                return failure_set(reterr_failure, -EBADMSG, "JSON_INVALID",
                                   "The JSON document is nested deeper than %zu levels", depth);
        json = json_loadb(data ? data : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (!json && json_error_code(&error) == json_error_out_of_memory)
                return -ENOMEM;
        if (!json)
                return failure_set(reterr_failure, -EBADMSG, "JSON_INVALID",
                                   "Not a valid JSON document: %s, at line %d, column %d", error.text,
                                   error.line, error.column);
        *ret = json;
        return 0;
}

int json_parse_text(const char *text, json_t **ret, Failure *reterr_failure) {
        const char *s = strempty(text);

        return json_parse_strict(s, strlen(s), JSON_DEPTH_DEFAULT, ret, reterr_failure);
}

int json_format(const json_t *json, char **ret, size_t *ret_size) {
        char *text;

        assert(json);
        assert(ret);

        text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!text)
                return -EINVAL;
        if (ret_size)
                *ret_size = strlen(text);
        *ret = text;
        return 0;
}

int json_set(json_t *object, const char *key, json_t *value) {
        if (!value)
                return -ENOMEM;
        if (!object) {
                json_decref(value);
                return -ENOMEM;
        }
        return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

int json_append(json_t *array, json_t *value) {
        if (!value)
                return -ENOMEM;
        if (!array) {
                json_decref(value);
                return -ENOMEM;
        }
        return json_array_append_new(array, value) < 0 ? -ENOMEM : 0;
}

json_t *json_from_time(usec_t t) {
        char text[RFC3339_MAX];

        return t == USEC_INFINITY ? json_null() : json_string(format_rfc3339(text, t));
}

json_t *json_from_string(const char *s) {
        return s ? json_string(s) : json_null();
}

json_t *json_from_u64(uint64_t v) {
        /* JSON integers of ours are signed 64 bit numbers; what is beyond is a count that nobody reaches. */
        return json_integer((json_int_t) MIN(v, (uint64_t) INT64_MAX));
}

json_t *json_from_strv(char *const *l) {
        _cleanup_json_ json_t *array = json_array();

        STRV_FOREACH(s, l)
                if (json_append(array, json_string(*s)) < 0)
                        return NULL;
        return TAKE_PTR(array);
}
