/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/fields.h"
#include "wire/target-config.h"

#define HOST_MAX 255

int fields_bad(const Fields *c, const char *field, const char *why) {
        assert(c);

        return failure_set_field(c->failure, -EINVAL, "FIELD_INVALID", field, "%s of %s %s.", field,
                                 c->storage->name, why);
}

int fields_text(const Fields *c, const char *field, char **ret) {
        const char *name = strchr(field, '.') + 1;
        const json_t *from = startswith(field, "secrets.") ? c->secrets : c->config;
        const json_t *v = json_object_get(from, name);
        const char *s = json_string_value(v);

        assert(ret);

        if (v && !json_is_null(v) && !s)
                return fields_bad(c, field, "is not a text");
        for (const char *p = strempty(s); *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return fields_bad(c, field, "holds a control character");
        return isempty(s) ? 0 : free_and_strdup(ret, s);
}

int fields_number(const Fields *c, const char *field, uint64_t least, uint64_t most, uint64_t *ret) {
        const json_t *v = json_object_get(c->config, strchr(field, '.') + 1);

        assert(ret);

        if (!v || json_is_null(v))
                return 0;
        if (!json_is_integer(v) || json_integer_value(v) < (json_int_t) least ||
            json_integer_value(v) > (json_int_t) most)
                return fields_bad(c, field, "is not a number in its range");
        *ret = (uint64_t) json_integer_value(v);
        return 0;
}

int fields_volume_size(const Fields *c, uint64_t *ret) {
        uint64_t mib = 0;
        int r;

        assert(ret);

        r = fields_number(c, "config.volume_size", TARGET_VOLUME_MIN, TARGET_VOLUME_MAX, &mib);
        if (r >= 0 && mib > 0)
                *ret = mib << 20;
        return r;
}

bool fields_is_made_of(const char *s, const char *more, size_t most) {
        size_t n = strlen(s);

        for (size_t i = 0; i < n; i++)
                if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
                      (s[i] >= '0' && s[i] <= '9') || strchr(more, s[i])))
                        return false;
        return n > 0 && n <= most;
}

int fields_prefix(const Fields *c, char **ret) {
        _cleanup_(freep) char *prefix = NULL;
        size_t n;
        int r;

        r = fields_text(c, "config.prefix", &prefix);
        if (r < 0)
                return r;
        n = strlen(strempty(prefix));
        if (n > 0 && prefix[n - 1] == '/')
                prefix[n - 1] = 0;
        if (!isempty(prefix) && !storage_key_is_valid(prefix))
                return fields_bad(c, "config.prefix", "is not a path of names joined by '/'");
        return asprintf_safe(ret, "%s%s", strempty(prefix), isempty(prefix) ? "" : "/");
}

int fields_endpoint(const Fields *c, const char *endpoint, const char *more, const char **ret_scheme,
                    char **ret_host) {
        _cleanup_(freep) char *found = NULL;
        const char *host, *port;
        size_t n;

        host = startswith(endpoint, "https://");
        *ret_scheme = host ? "https" : "http";
        if (!host)
                host = startswith(endpoint, "http://");
        if (!host)
                return fields_bad(c, "config.endpoint", "does not begin with https:// or http://");
        n = strlen(host);
        while (n > 0 && host[n - 1] == '/')
                n--;
        found = memdup0(host, n);
        if (!found)
                return -ENOMEM;
        if (!fields_is_made_of(found, more, HOST_MAX))
                return fields_bad(c, "config.endpoint", "is not the address of a server");
        port = streq(*ret_scheme, "https") ? ":443" : ":80";
        if (endswith(found, port))
                found[strlen(found) - strlen(port)] = 0;
        *ret_host = TAKE_PTR(found);
        return 0;
}
