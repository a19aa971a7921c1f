/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/entity.h"
#include "wire/path.h"

#define TYPE_MAX 32
#define SECRET_NAME_MAX 32

/* Each type of target, and the paths that its configuration names. */
static const struct {
        const char *type;
        const char *key;
        JsonPresence presence;
} types[] = {
        { "local", "path", JSON_REQUIRED },
        { "relay", "directory", JSON_OPTIONAL },
};

static int find_type(const char *type) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq(types[i].type, type))
                        return (int) i;
        return -EINVAL;
}

static int read_config(JsonReader *target, size_t type, char **text) {
        _cleanup_(freep) char *path = NULL;
        _cleanup_json_ json_t *json = NULL;
        JsonReader config;
        int r;

        r = json_reader_object(target, "config",
                               *text ? JSON_OPTIONAL : types[type].presence,
                               &config);
        if (r < 0)
                return r;
        if (r == 0)
                return *text ? 0 : free_and_strdup(text, "{}");
        r = json_reader_path(&config, types[type].key, types[type].presence, &path);
        if (r > 0 && (!path_is_normalized_absolute(path) || streq(path, "/")))
                return json_reader_fail(
                                &config, types[type].key,
                                "is not an absolute path of a directory without '.' and '..'");
        r = json_reader_finish(&config);
        if (r < 0)
                return r;
        json = json_object();
        if (path)
                r = json_set(json, types[type].key, json_from_path(path));
        return r < 0 ? r : json_keep_text(json, text);
}

static bool secret_name_is_valid(const char *name) {
        size_t n = strlen(name);

        return n > 0 && n <= SECRET_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static int check_secrets(JsonReader *target, const json_t *secrets) {
        const char *name;
        json_t *value;

        if (!json_is_object(secrets))
                return json_reader_fail(target, "secrets", "has to be an object");
        if (json_object_size(secrets) > TARGET_SECRETS_MAX)
                return json_reader_fail(target, "secrets", "has more than %d members", TARGET_SECRETS_MAX);
        json_object_foreach((json_t *) secrets, name, value) {
                if (!secret_name_is_valid(name))
                        return json_reader_fail(target, "secrets",
                                                "has a member whose name is not of a-z, 0-9 and _");
                if (!json_is_string(value) || json_string_length(value) > TARGET_SECRET_MAX)
                        return json_reader_fail(target, "secrets",
                                                "has a member '%s' that is not a text of at most %u bytes",
                                                name, TARGET_SECRET_MAX);
        }
        return 0;
}

/* Another type means another configuration: what was there does not count then. */
static int read_type(JsonReader *reader, Target *target) {
        _cleanup_(freep) char *type = NULL;
        int r, found;

        r = json_reader_strdup(reader, "type", target->type ? JSON_OPTIONAL : JSON_REQUIRED, TYPE_MAX,
                               &type);
        if (r < 0)
                return r;
        found = find_type(r > 0 ? type : target->type);
        if (found < 0)
                return json_reader_fail(reader, "type", "has the value '%s', which is not known",
                                        strempty(type));
        if (r > 0 && !streq_ptr(type, target->type)) {
                target->config = mfree(target->config);
                free(target->type);
                target->type = TAKE_PTR(type);
        }
        return found;
}

int target_from_json(const json_t *json, Target *target, const json_t **ret_secrets,
                     Failure *reterr_failure) {
        const json_t *secrets = NULL, *config;
        JsonReader reader;
        int r;

        assert(target);
        assert(ret_secrets);

        json_reader_init(&reader, json, reterr_failure);
        json_reader_name(&reader, "name", &target->name);
        r = read_type(&reader, target);
        if (r >= 0)
                r = read_config(&reader, (size_t) r, &target->config);
        else /* so that it is not taken for a name that nobody knows */
                json_reader_value(&reader, "config", JSON_OPTIONAL, &config);
        if (r < 0 && r != -EBADMSG)
                return r;
        r = json_reader_value(&reader, "secrets", JSON_OPTIONAL, &secrets);
        if (r > 0)
                check_secrets(&reader, secrets);
        r = json_reader_finish(&reader);
        if (r < 0)
                return r;
        *ret_secrets = secrets;
        return 0;
}

static json_t *test_to_json(const Target *target) {
        _cleanup_json_ json_t *json = NULL;

        assert(target);

        if (target->tested == 0)
                return json_null();
        json = json_object();
        if (json_set(json, "at", json_from_stamp(target->tested)) < 0 ||
            json_set(json, "ok", json_boolean(target->test_ok)) < 0 ||
            json_set(json, "result", json_from_text(target->test_result)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

json_t *target_to_json(const Target *target) {
        _cleanup_json_ json_t *json = json_object();

        assert(target);

        if (json_set(json, "id", json_from_u64(target->id)) < 0 ||
            json_set(json, "name", json_from_string(target->name)) < 0 ||
            json_set(json, "type", json_from_string(target->type)) < 0 ||
            json_set(json, "config", json_from_text(target->config)) < 0 ||
            json_set(json, "secrets",
                     target->secret_names ? json_from_text(target->secret_names) : json_array()) < 0 ||
            json_set(json, "last_test", test_to_json(target)) < 0 ||
            json_set(json, "created_at", json_from_stamp(target->created)) < 0 ||
            json_set(json, "updated_at", json_from_stamp(target->updated)) < 0 ||
            json_set(json, "revision", json_from_u64(target->revision)) < 0)
                return NULL;
        return TAKE_PTR(json);
}
