/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/encode.h"
#include "base/text.h"
#include "wire/path.h"

json_t *json_from_path(const char *path) {
        _cleanup_(freep) char *text = NULL;
        size_t n;

        if (!path)
                return json_null();
        n = strlen(path);
        if (utf8_is_valid(path, n))
                return json_stringn(path, n);
        if (base64_encode(BASE64_STANDARD, path, n, &text) < 0)
                return NULL;
        return json_pack("{s:s}", "base64", text);
}

int json_to_path(const json_t *json, char **ret) {
        _cleanup_(freep) void *bytes = NULL;
        const json_t *encoded;
        size_t n;
        int r;

        assert(ret);

        if (json_is_string(json)) {
                n = json_string_length(json);
                bytes = memdup0(json_string_value(json), n);
                if (!bytes)
                        return -ENOMEM;
        } else {
                encoded = json_object_get(json, "base64");
                if (!json_is_string(encoded) || json_object_size(json) != 1)
                        return -EINVAL;
                r = base64_decode(BASE64_STANDARD, json_string_value(encoded), json_string_length(encoded),
                                  &bytes, &n);
                if (r < 0)
                        return r;
        }
        if (n == 0 || memchr(bytes, 0, n))
                return -EINVAL;
        if (n > WIRE_PATH_MAX)
                return -ENAMETOOLONG;
        *ret = TAKE_PTR(bytes);
        return 0;
}

json_t *json_from_paths(char *const *paths) {
        _cleanup_json_ json_t *array = json_array();

        STRV_FOREACH(p, paths)
                if (json_append(array, json_from_path(*p)) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

static int fail_path(JsonReader *r, const char *key, int error) {
        if (error == -ENAMETOOLONG)
                return json_reader_fail(r, key, "is longer than %d bytes", WIRE_PATH_MAX);
        return json_reader_fail(r, key, "has to be a path: a string, or {\"base64\":…} of its bytes");
}

int json_reader_path(JsonReader *r, const char *key, JsonPresence presence, char **ret) {
        _cleanup_(freep) char *path = NULL;
        const json_t *value = NULL;
        int k;

        assert(ret);

        k = json_reader_value(r, key, presence, &value);
        if (k <= 0)
                return k;
        k = json_to_path(value, &path);
        if (k < 0)
                return fail_path(r, key, k);
        free(*ret);
        *ret = TAKE_PTR(path);
        return 1;
}

int json_reader_paths(JsonReader *r, const char *key, JsonPresence presence, size_t max_items, char ***ret) {
        _cleanup_(strv_freep) char **list = NULL;
        const json_t *array = NULL, *item;
        size_t i;
        int k;

        assert(ret);

        k = json_reader_array(r, key, presence, max_items, &array);
        if (k <= 0)
                return k;
        json_array_foreach((json_t *) array, i, item) {
                _cleanup_(freep) char *path = NULL;
                char name[64];

                (void) snprintf(name, sizeof(name), "%s[%zu]", key, i);
                k = json_to_path(item, &path);
                if (k < 0)
                        return fail_path(r, name, k);
                k = strv_extend(&list, path);
                if (k < 0)
                        return k;
        }
        strv_free(*ret);
        *ret = TAKE_PTR(list);
        return 1;
}

/* Bytes of the valid, printable UTF-8 sequence at s, or 0. */
static size_t printable_sequence(const char *s) {
        unsigned char c = (unsigned char) s[0];
        size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 :
                        c >= 0xe0           ? 3 :
                                              2;

        if (c < ' ' || c == 0x7f || strnlen(s, n) < n || !utf8_is_valid(s, n))
                return 0;
        /* U+0080 … U+009F are control characters, too. */
        if (n == 2 && c == 0xc2 && (unsigned char) s[1] < 0xa0)
                return 0;
        return n;
}

int path_display(const char *path, char **ret) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r = 0;

        assert(path);
        assert(ret);

        while (*path && r >= 0) {
                size_t n = printable_sequence(path);

                if (*path == '\\')
                        r = buffer_add_string(&b, "\\\\");
                else if (n > 0)
                        r = buffer_add(&b, path, n);
                else
                        r = buffer_printf(&b, "\\x%02X", (unsigned) (unsigned char) *path);
                path += MAX(n, (size_t) 1);
        }
        if (r < 0)
                return r;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

bool path_is_normalized_absolute(const char *path) {
        assert(path);

        if (path[0] != '/')
                return false;
        if (path[1] == 0)
                return true;
        for (const char *p = path; *p;) {
                size_t n = strcspn(p + 1, "/");

                if (n == 0 || (n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
                        return false;
                p += n + 1;
        }
        return true;
}
