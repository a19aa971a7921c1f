/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/entity.h"
#include "wire/target-config.h"

#define TYPE_MAX 32

/* Another type means another configuration and other secrets: what was there does not count then. */
static int read_type(JsonReader *reader, Target *target, const TargetType **ret, bool *ret_changed) {
        _cleanup_(freep) char *type = NULL;
        const TargetType *found;
        int r;

        r = json_reader_strdup(reader, "type", target->type ? JSON_OPTIONAL : JSON_REQUIRED, TYPE_MAX,
                               &type);
        if (r < 0)
                return r;
        found = target_type_find(r > 0 ? type : target->type);
        if (!found)
                return json_reader_fail(reader, "type", "has the value '%s', which is not known",
                                        strempty(type));
        *ret_changed = r > 0 && !streq_ptr(type, target->type);
        if (*ret_changed) {
                target->config = mfree(target->config);
                free(target->type);
                target->type = TAKE_PTR(type);
        }
        *ret = found;
        return 0;
}

static bool needs_config(const TargetType *type) {
        for (const TargetField *f = type->fields; f->name; f++)
                if (f->presence == JSON_REQUIRED)
                        return true;
        return false;
}

static int read_config(JsonReader *target, const TargetType *type, char **text) {
        JsonPresence presence = *text || !needs_config(type) ? JSON_OPTIONAL : JSON_REQUIRED;
        _cleanup_json_ json_t *json = NULL;
        JsonReader config;
        int r;

        r = json_reader_object(target, "config", presence, &config);
        if (r < 0)
                return r;
        if (r == 0)
                return *text ? 0 : free_and_strdup(text, "{}");
        r = target_config_read(type, &config, &json);
        return r < 0 ? r : json_keep_text(json, text);
}

/* is_new: nothing of it is stored yet, and what is required has to be in the request. */
static int read_secrets(JsonReader *reader, const TargetType *type, const Target *target, bool is_new,
                        const json_t **ret) {
        _cleanup_json_ json_t *config = json_from_text(target->config), *none = json_object();
        int r;

        r = json_reader_value(reader, "secrets", JSON_OPTIONAL, ret);
        if (r < 0)
                return r;
        r = target_secrets_check(type, reader, *ret, is_new);
        if (r < 0 || !type->check)
                return r;
        return type->check(reader, config, *ret ? *ret : is_new ? none :
                                                                  NULL);
}

/* Secrets are given for one place: whoever names another has to have them. before is the configuration that
 * they were given for. */
static int check_place(JsonReader *reader, const TargetType *type, Target *target, bool is_new,
                       const char *before) {
        _cleanup_json_ json_t *old = json_from_text(before), *config = json_from_text(target->config);
        const char *moved;

        if (isempty(target->secret_names))
                return 0;
        if (is_new && !target_type_uses_secrets(type)) {
                target->secret_names = mfree(target->secret_names);
                return 0;
        }
        moved = is_new ? NULL : target_config_moved(type, old, config);
        if (!is_new && !moved)
                return 0;
        return json_reader_fail_code(reader, SECRET_NEEDED_AGAIN, "secrets",
                                     "is missing: with another '%s%s' the secrets have to be given again, "
                                     "which were for that of before",
                                     moved ? "config." : "", moved ? moved : "type");
}

int target_from_json(const json_t *json, Target *target, const json_t **ret_secrets,
                     Failure *reterr_failure) {
        const json_t *secrets = NULL, *skipped;
        _cleanup_(freep) char *before = NULL;
        const TargetType *type = NULL;
        bool is_new = false;
        JsonReader reader;
        int r;

        assert(target);
        assert(ret_secrets);

        if (free_and_strdup(&before, target->config) < 0)
                return -ENOMEM;
        json_reader_init(&reader, json, reterr_failure);
        json_reader_name(&reader, "name", &target->name);
        r = read_type(&reader, target, &type, &is_new);
        if (r >= 0)
                r = read_config(&reader, type, &target->config);
        if (r >= 0)
                r = read_secrets(&reader, type, target, is_new, &secrets);
        if (r >= 0 && !secrets)
                r = check_place(&reader, type, target, is_new, before);
        /* So that they are not taken for names that nobody knows. */
        json_reader_value(&reader, "config", JSON_OPTIONAL, &skipped);
        json_reader_value(&reader, "secrets", JSON_OPTIONAL, &skipped);
        if (r < 0 && r != -EBADMSG)
                return r;
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
