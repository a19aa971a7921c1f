/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/password.h"
#include "wire/entity.h"

static int role_lookup(const char *text) {
        return user_role_from_string(text);
}

static int read_role(JsonReader *reader, JsonPresence presence, UserRole *role) {
        int value = *role, r;

        r = json_reader_enum(reader, "role", presence, role_lookup, &value);
        if (r > 0)
                *role = value;
        return r;
}

int json_reader_password(JsonReader *r, JsonPresence presence, size_t max, char **ret) {
        int k;

        assert(ret);

        k = json_reader_strdup(r, "password", presence, max, ret);
        if (k > 0 && password_check(*ret) < 0)
                return json_reader_fail(r, "password",
                                        "has to have %d to %d bytes and no control characters", PASSWORD_MIN,
                                        PASSWORD_MAX);
        return k;
}

int user_from_json(const json_t *json, User *user, char **ret_password, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *password = NULL;
        JsonPresence presence;
        JsonReader reader;
        int r;

        assert(user);
        assert(ret_password);

        presence = user->username ? JSON_OPTIONAL : JSON_REQUIRED;
        json_reader_init(&reader, json, reterr_failure);
        r = json_reader_strdup(&reader, "username", presence, ENTITY_NAME_MAX, &user->username);
        if (r > 0 && !username_is_valid(user->username))
                return json_reader_fail(&reader, "username",
                                        "has other characters than letters, digits and . _ - @ +, "
                                        "or does not begin with a letter or a digit");
        json_reader_password(&reader, presence, STORE_TEXT_MAX, &password);
        read_role(&reader, presence, &user->role);
        json_reader_bool(&reader, "enabled", JSON_OPTIONAL, &user->enabled);
        r = json_reader_finish(&reader);
        if (r < 0)
                return r;
        *ret_password = TAKE_PTR(password);
        return 0;
}

json_t *user_to_json(const User *user) {
        _cleanup_json_ json_t *json = json_object();

        assert(user);

        if (json_set(json, "id", json_from_u64(user->id)) < 0 ||
            json_set(json, "username", json_from_string(user->username)) < 0 ||
            json_set(json, "role", json_from_string(user_role_to_string(user->role))) < 0 ||
            json_set(json, "enabled", json_boolean(user->enabled)) < 0 ||
            json_set(json, "created_at", json_from_stamp(user->created)) < 0 ||
            json_set(json, "password_changed_at", json_from_stamp(user->password_changed)) < 0 ||
            json_set(json, "last_login_at", json_from_stamp(user->last_login)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

int api_key_from_json(const json_t *json, ApiKey *key, Failure *reterr_failure) {
        JsonReader reader;

        assert(key);

        json_reader_init(&reader, json, reterr_failure);
        json_reader_name(&reader, "name", &key->name);
        read_role(&reader, JSON_OPTIONAL, &key->role);
        json_reader_time(&reader, "expires_at", JSON_OPTIONAL, &key->expires);
        return json_reader_finish(&reader);
}

json_t *api_key_to_json(const ApiKey *key) {
        _cleanup_json_ json_t *json = json_object();

        assert(key);

        if (json_set(json, "id", json_from_u64(key->id)) < 0 ||
            json_set(json, "name", json_from_string(key->name)) < 0 ||
            json_set(json, "role", json_from_string(user_role_to_string(key->role))) < 0 ||
            json_set(json, "user_id", json_from_u64(key->user_id)) < 0 ||
            json_set(json, "username", json_from_string(key->username)) < 0 ||
            json_set(json, "created_at", json_from_stamp(key->created)) < 0 ||
            json_set(json, "expires_at", json_from_stamp(key->expires)) < 0 ||
            json_set(json, "last_used_at", json_from_stamp(key->last_used)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

json_t *audit_entry_to_json(const AuditEntry *entry) {
        _cleanup_json_ json_t *json = json_object();

        assert(entry);

        if (json_set(json, "id", json_from_u64(entry->id)) < 0 ||
            json_set(json, "at", json_from_stamp(entry->at)) < 0 ||
            json_set(json, "user_id", json_from_id(entry->user_id)) < 0 ||
            json_set(json, "username", json_from_string(entry->username)) < 0 ||
            json_set(json, "address", json_from_string(entry->address)) < 0 ||
            json_set(json, "action", json_from_string(entry->action)) < 0 ||
            json_set(json, "object_type", json_from_string(entry->object_type)) < 0 ||
            json_set(json, "object_id", json_from_id(entry->object_id)) < 0 ||
            json_set(json, "object_name", json_from_string(entry->object_name)) < 0 ||
            json_set(json, "detail", json_from_text(entry->detail)) < 0)
                return NULL;
        return TAKE_PTR(json);
}
