/* SPDX-License-Identifier: Apache-2.0 */

/* The pieces that several specs share: targets, archives, secrets. */

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "wire/command.h"
#include "wire/path.h"

#define NAME_MAX_BYTES 255
#define TYPE_MAX 32
#define KEY_MAX 1024
#define FILE_KEY_SIZE 16

static const char *const command_kind_table[_COMMAND_KIND_MAX] = {
        [COMMAND_BACKUP] = "backup",
        [COMMAND_RESTORE] = "restore",
        [COMMAND_VERIFY] = "verify",
        [COMMAND_PRUNE] = "prune",
        [COMMAND_LIST_DIR] = "list_dir",
        [COMMAND_DISCOVER_DATABASES] = "discover_databases",
        [COMMAND_RCLONE_BACKENDS] = "rclone_backends",
        [COMMAND_TEST_STORAGE] = "test_storage",
        [COMMAND_TEST_TASK] = "test_task",
        [COMMAND_BROWSE] = "browse",
        [COMMAND_SELF_CHECK] = "self_check",
        [COMMAND_READ_FILE] = "read_file",
};

DEFINE_STRING_TABLE(command_kind, CommandKind);

bool command_kind_is_probe(CommandKind kind) {
        switch (kind) {
        case COMMAND_BACKUP:
        case COMMAND_RESTORE:
        case COMMAND_VERIFY:
        case COMMAND_PRUNE:
        case _COMMAND_KIND_MAX:
        case _COMMAND_KIND_INVALID:
                return false;
        case COMMAND_LIST_DIR:
        case COMMAND_DISCOVER_DATABASES:
        case COMMAND_RCLONE_BACKENDS:
        case COMMAND_TEST_STORAGE:
        case COMMAND_TEST_TASK:
        case COMMAND_BROWSE:
        case COMMAND_SELF_CHECK:
        case COMMAND_READ_FILE:
                return true;
        }
        return false;
}

void spec_target_done(SpecTarget *t) {
        assert(t);

        free(t->name);
        free(t->type);
        json_decref(t->config);
        free(t->prefix);
        *t = SPEC_TARGET_NULL;
}

int spec_target_build(const SpecTarget *t, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(t);
        assert(ret);

        r = json_set(json, "id", json_from_u64(t->id));
        if (r >= 0)
                r = json_set(json, "name", json_from_string(t->name));
        if (r >= 0)
                r = json_set(json, "type", json_from_string(t->type));
        if (r >= 0)
                r = json_set(json, "config", t->config ? json_incref(t->config) : json_object());
        if (r >= 0 && t->prefix)
                r = json_set(json, "prefix", json_string(t->prefix));
        if (r >= 0 && t->make)
                r = json_set(json, "make", json_true());
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

int spec_target_read(JsonReader *r, SpecTarget *ret) {
        const json_t *config = NULL;
        int k;

        assert(r);
        assert(ret);

        (void) json_reader_u64(r, "id", JSON_REQUIRED, INT64_MAX, &ret->id);
        (void) json_reader_strdup(r, "name", JSON_REQUIRED, NAME_MAX_BYTES, &ret->name);
        (void) json_reader_strdup(r, "type", JSON_REQUIRED, TYPE_MAX, &ret->type);
        (void) json_reader_strdup(r, "prefix", JSON_OPTIONAL, KEY_MAX, &ret->prefix);
        (void) json_reader_bool(r, "make", JSON_OPTIONAL, &ret->make);
        k = json_reader_value(r, "config", JSON_REQUIRED, &config);
        if (k > 0 && !json_is_object(config))
                k = json_reader_fail(r, "config", "has to be an object");
        if (k > 0)
                ret->config = json_incref((json_t *) config);
        return json_reader_finish_lenient(r);
}

static void archive_copy_done(ArchiveCopy *c) {
        spec_target_done(&c->target);
        c->key = mfree(c->key);
}

void archive_ref_done(ArchiveRef *a) {
        assert(a);

        archive_copy_done(&a->primary);
        for (size_t i = 0; i < a->n_copies; i++)
                archive_copy_done(&a->copies[i]);
        free(a->copies);
        *a = ARCHIVE_REF_NULL;
}

/* Sets target and key in an object. */
static int put_copy(json_t *json, const ArchiveCopy *c) {
        json_t *target = NULL;
        int r;

        assert(c);

        r = spec_target_build(&c->target, &target);
        if (r >= 0)
                r = json_set(json, "target", target);
        if (r >= 0)
                r = json_set(json, "key", json_from_string(c->key));
        return r;
}

static int build_copies(const ArchiveRef *a, json_t **ret) {
        _cleanup_json_ json_t *array = json_array();

        assert(a);

        for (size_t i = 0; i < a->n_copies; i++) {
                json_t *copy = json_object();
                int r;

                r = json_append(array, copy);
                if (r >= 0)
                        r = put_copy(copy, &a->copies[i]);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(array);
        return 0;
}

int archive_ref_build(const ArchiveRef *a, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        char hex[2 * sizeof(a->manifest_sha256) + 1];
        json_t *copies = NULL;
        int r;

        assert(a);
        assert(ret);

        r = json ? put_copy(json, &a->primary) : -ENOMEM;
        if (r >= 0)
                r = json_set(json, "manifest_sha256",
                             json_string(hex_encode(a->manifest_sha256, sizeof(a->manifest_sha256), hex)));
        if (r >= 0)
                r = json_set(json, "encrypted", json_boolean(a->encrypted));
        if (r >= 0)
                r = build_copies(a, &copies);
        if (r >= 0)
                r = json_set(json, "copies", copies);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

static int read_copy(JsonReader *r, ArchiveCopy *ret) {
        JsonReader target;

        (void) json_reader_object(r, "target", JSON_REQUIRED, &target);
        (void) spec_target_read(&target, &ret->target);
        (void) json_reader_strdup(r, "key", JSON_REQUIRED, KEY_MAX, &ret->key);
        if (r->error >= 0 && !endswith(ret->key, "/"))
                (void) json_reader_fail(r, "key", "has to end in '/'");
        return json_reader_finish_lenient(r);
}

int archive_ref_read(JsonReader *r, ArchiveRef *ret) {
        const json_t *copies = NULL, *item;
        size_t i;

        assert(r);
        assert(ret);

        (void) read_copy(r, &ret->primary);
        (void) json_reader_hex(r, "manifest_sha256", JSON_REQUIRED, ret->manifest_sha256,
                               sizeof(ret->manifest_sha256));
        (void) json_reader_bool(r, "encrypted", JSON_REQUIRED, &ret->encrypted);
        if (json_reader_array(r, "copies", JSON_OPTIONAL, SPEC_COPIES_MAX, &copies) <= 0)
                return json_reader_finish_lenient(r);
        ret->copies = new0(ArchiveCopy, json_array_size(copies));
        if (!ret->copies && json_array_size(copies) > 0)
                return -ENOMEM;
        json_array_foreach((json_t *) copies, i, item) {
                JsonReader copy;

                (void) json_reader_element(r, "copies", i, item, &copy);
                ret->n_copies++;
                (void) read_copy(&copy, &ret->copies[i]);
        }
        return json_reader_finish_lenient(r);
}

/* --- Secrets ----------------------------------------------------------------------------------------- */

void command_secrets_done(CommandSecrets *s) {
        assert(s);

        json_decref(s->targets);
        json_decref(s->repositories);
        erase_and_free(s->database);
        explicit_bzero(s, sizeof(*s));
}

static int put_key(json_t *object, const char *name, const uint8_t key[static FILE_KEY_SIZE]) {
        _cleanup_(erase_and_freep) char *text = NULL;
        int r;

        r = base64_encode(BASE64_STANDARD, key, FILE_KEY_SIZE, &text);
        if (r < 0)
                return r;
        return json_set(object, name, json_string(text));
}

int command_secrets_build(const CommandSecrets *s, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        json_t *keys;
        int r;

        assert(s);
        assert(ret);

        r = json_set(json, "targets", s->targets ? json_incref(s->targets) : json_object());
        if (r >= 0 && s->repositories)
                r = json_set(json, "repository", json_incref(s->repositories));
        if (r >= 0 && s->database)
                r = json_set(json, "database", json_pack("{s:s}", "password", s->database));
        if (r < 0)
                return r;
        if (s->has_file_keys) {
                keys = json_object();
                r = json_set(json, "file_keys", keys);
                if (r >= 0)
                        r = put_key(keys, "data", s->key_data);
                if (r >= 0)
                        r = put_key(keys, "entries", s->key_entries);
                if (r >= 0)
                        r = put_key(keys, "manifest", s->key_manifest);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(json);
        return 0;
}

static int read_key(JsonReader *r, const char *name, uint8_t ret[static FILE_KEY_SIZE]) {
        const char *text = NULL;
        void *bytes = NULL;
        size_t n = 0;
        int k;

        k = json_reader_string(r, name, JSON_REQUIRED, 64, &text);
        if (k <= 0)
                return k;
        k = base64_decode(BASE64_STANDARD, text, strlen(text), &bytes, &n);
        if (k >= 0 && n == FILE_KEY_SIZE)
                memcpy(ret, bytes, n);
        if (bytes)
                explicit_bzero(bytes, n);
        free(bytes);
        if (k < 0 || n != FILE_KEY_SIZE)
                return json_reader_fail(r, name, "has to be base64 of %d bytes", FILE_KEY_SIZE);
        return 1;
}

int command_secrets_parse(const json_t *json, CommandSecrets *ret, Failure *reterr_failure) {
        _cleanup_(command_secrets_done) CommandSecrets s = COMMAND_SECRETS_NULL;
        const json_t *targets = NULL, *repositories = NULL;
        JsonReader r, keys, database;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        k = json_reader_value(&r, "targets", JSON_OPTIONAL, &targets);
        if (k > 0 && !json_is_object(targets))
                k = json_reader_fail(&r, "targets", "has to be an object");
        if (k > 0)
                s.targets = json_incref((json_t *) targets);
        k = json_reader_value(&r, "repository", JSON_OPTIONAL, &repositories);
        if (k > 0 && !json_is_object(repositories))
                k = json_reader_fail(&r, "repository", "has to be an object");
        if (k > 0)
                s.repositories = json_incref((json_t *) repositories);
        if (json_reader_object(&r, "database", JSON_OPTIONAL, &database) > 0)
                (void) json_reader_strdup(&database, "password", JSON_OPTIONAL, REPOSITORY_PASSWORD_MAX,
                                          &s.database);
        if (json_reader_object(&r, "file_keys", JSON_OPTIONAL, &keys) > 0) {
                s.has_file_keys = true;
                (void) read_key(&keys, "data", s.key_data);
                (void) read_key(&keys, "entries", s.key_entries);
                (void) read_key(&keys, "manifest", s.key_manifest);
        }
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = s;
        s = COMMAND_SECRETS_NULL;
        return 0;
}

const json_t *command_secrets_target(const CommandSecrets *s, uint64_t id) {
        char key[24];

        assert(s);

        (void) snprintf(key, sizeof(key), "%" PRIu64, id);
        return json_object_get(s->targets, key);
}
