/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/entity.h"

bool entity_name_is_valid(const char *name) {
        size_t n;

        assert(name);

        n = strlen(name);
        if (n < 1 || n > ENTITY_NAME_MAX || !utf8_is_valid(name, n))
                return false;
        if (strchr(".- ", name[0]) || strchr(". ", name[n - 1]))
                return false;
        for (const char *p = name; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f || *p == '/' || *p == '\\')
                        return false;
        return true;
}

static bool is_alphanumeric(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool username_is_valid(const char *name) {
        assert(name);

        if (!is_alphanumeric(name[0]) || strlen(name) > ENTITY_NAME_MAX)
                return false;
        for (const char *p = name; *p; p++)
                if (!is_alphanumeric(*p) && !strchr("._-@+", *p))
                        return false;
        return true;
}

int json_reader_name(JsonReader *reader, const char *key, char **name) {
        int r;

        assert(reader);
        assert(name);

        r = json_reader_strdup(reader, key, *name ? JSON_OPTIONAL : JSON_REQUIRED, ENTITY_NAME_MAX, name);
        if (r > 0 && !entity_name_is_valid(*name))
                return json_reader_fail(
                                reader, key,
                                "is not a name: no slash, backslash or control character, and no dot, dash "
                                "or space at its start");
        return r;
}

int json_keep_text(const json_t *json, char **text) {
        char *copy;
        int r;

        assert(text);

        r = json_format(json, &copy, NULL);
        if (r < 0)
                return r;
        free(*text);
        *text = copy;
        return 0;
}

json_t *json_from_text(const char *text) {
        json_t *json = NULL;

        if (json_parse_text(text, &json, NULL) < 0)
                return json_null();
        return json;
}

json_t *json_from_stamp(usec_t t) {
        return t == 0 ? json_null() : json_from_time(t);
}

json_t *json_from_id(uint64_t id) {
        return id == 0 ? json_null() : json_from_u64(id);
}
