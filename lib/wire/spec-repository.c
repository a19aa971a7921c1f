/* SPDX-License-Identifier: Apache-2.0 */

/* What specs and secrets say of repositories. */

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/command.h"

#define ID_LENGTH 64
#define POLYNOMIAL_DIGITS_MAX 16
#define ENDED_KEY "ended_commands"
#define ENDED_LENGTH_MAX 64

/* --- Snapshots --------------------------------------------------------------------------------------- */

bool snapshot_id_is_valid(const char *id) {
        return id && strlen(id) == ID_LENGTH && strspn(id, "0123456789abcdef") == ID_LENGTH;
}

void snapshot_ref_done(SnapshotRef *s) {
        assert(s);

        for (size_t i = 0; i < s->n; i++) {
                spec_target_done(&s->copies[i].target);
                free(s->copies[i].id);
        }
        free(s->copies);
        *s = SNAPSHOT_REF_NULL;
}

int snapshot_ref_build(const SnapshotRef *s, json_t **ret) {
        _cleanup_json_ json_t *array = json_array();

        assert(s);
        assert(ret);

        for (size_t i = 0; i < s->n; i++) {
                json_t *copy = json_object(), *target = NULL;
                int r;

                r = json_append(array, copy);
                if (r >= 0)
                        r = spec_target_build(&s->copies[i].target, &target);
                if (r >= 0)
                        r = json_set(copy, "target", target);
                if (r >= 0)
                        r = json_set(copy, "id", json_from_string(s->copies[i].id));
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(array);
        return 0;
}

static void read_copy(JsonReader *row, void *item) {
        SnapshotCopy *copy = item;
        JsonReader target;

        (void) json_reader_object(row, "target", JSON_REQUIRED, &target);
        (void) spec_target_read(&target, &copy->target);
        (void) json_reader_strdup(row, "id", JSON_REQUIRED, ID_LENGTH, &copy->id);
        if (row->error >= 0 && !snapshot_id_is_valid(copy->id))
                (void) json_reader_fail(row, "id", "has to be %d hexadecimal digits", ID_LENGTH);
        if (row->error >= 0 && (!copy->target.prefix || !endswith(copy->target.prefix, "/")))
                (void) json_reader_fail(row, "target", "has to have a prefix that ends in '/'");
}

static const JsonRows copy_rows = { SPEC_COPIES_MAX, sizeof(SnapshotCopy), read_copy };

int snapshot_ref_read(JsonReader *r, SnapshotRef *ret) {
        return json_reader_rows(r, "snapshots", JSON_OPTIONAL, &copy_rows, &ret->copies, &ret->n);
}

int spec_about_build(uint64_t run, uint64_t source_run, const SnapshotRef *snapshots, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        json_t *array = NULL;
        int r;

        assert(ret);

        r = json_set(json, "run", json_from_u64(run));
        if (r >= 0)
                r = json_set(json, "source_run", json_from_u64(source_run));
        if (r >= 0 && snapshots) {
                r = snapshot_ref_build(snapshots, &array);
                if (r >= 0)
                        r = json_set(json, "snapshots", array);
        }
        if (r >= 0)
                *ret = TAKE_PTR(json);
        return r;
}

int spec_about_read(JsonReader *r, uint64_t *ret_run, uint64_t *ret_source_run, SnapshotRef *ret_snapshots) {
        assert(r);

        (void) json_reader_u64(r, "run", JSON_REQUIRED, INT64_MAX, ret_run);
        (void) json_reader_u64(r, "source_run", JSON_REQUIRED, INT64_MAX, ret_source_run);
        if (ret_snapshots && snapshot_ref_read(r, ret_snapshots) >= 0 && r->error >= 0 &&
            ret_snapshots->n == 0)
                (void) json_reader_fail(r, "snapshots", "has to name one");
        return r->error;
}

/* --- Locks ------------------------------------------------------------------------------------------- */

int spec_add_ended(json_t *spec, char *const *names) {
        json_t *array = NULL;
        int r;

        assert(spec);

        if (strv_length(names) == 0)
                return 0;
        array = json_array();
        r = json_set(spec, ENDED_KEY, array);
        for (size_t i = 0; names[i] && i < SPEC_ENDED_MAX && r >= 0; i++)
                r = json_append(array, json_from_string(names[i]));
        return r;
}

int spec_read_ended(const json_t *spec, char ***ret, Failure *reterr_failure) {
        _cleanup_(strv_freep) char **names = NULL;
        JsonReader reader;
        int r;

        assert(ret);

        (void) json_reader_init(&reader, spec, reterr_failure);
        (void) json_reader_strv(&reader, ENDED_KEY, JSON_OPTIONAL, SPEC_ENDED_MAX, ENDED_LENGTH_MAX, &names);
        r = json_reader_finish_lenient(&reader);
        if (r >= 0)
                *ret = TAKE_PTR(names);
        return r;
}

/* --- Secrets ----------------------------------------------------------------------------------------- */

int repository_secret_build(const RepositorySecret *s, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        char polynomial[POLYNOMIAL_DIGITS_MAX + 1];
        CLEANUP_ERASE(polynomial);
        int r;

        assert(s && s->password);
        assert(ret);

        (void) snprintf(polynomial, sizeof(polynomial), "%" PRIx64, s->polynomial);
        r = json_set(json, "password", json_string(s->password));
        if (r >= 0)
                r = json_set(json, "polynomial", json_string(polynomial));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

static int parse_hex(const char *text, uint64_t *ret) {
        size_t n = strspn(text, "0123456789abcdef");
        uint64_t value = 0;

        if (n == 0 || n > POLYNOMIAL_DIGITS_MAX || text[n])
                return -EBADMSG;
        for (size_t i = 0; i < n; i++)
                value = value << 4 |
                                (uint64_t) (text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
        *ret = value;
        return 0;
}

int repository_secret_parse(const json_t *json, RepositorySecret *ret) {
        const char *password = NULL, *polynomial = NULL;
        RepositorySecret s = {};
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, NULL);
        (void) json_reader_string(&r, "password", JSON_REQUIRED, REPOSITORY_PASSWORD_MAX, &password);
        (void) json_reader_string(&r, "polynomial", JSON_REQUIRED, POLYNOMIAL_DIGITS_MAX, &polynomial);
        k = json_reader_finish_lenient(&r);
        if (k >= 0)
                k = parse_hex(polynomial, &s.polynomial);
        if (k < 0)
                return k;
        s.password = password;
        *ret = s;
        return 0;
}

int command_secrets_repository(const CommandSecrets *s, uint64_t target_id, RepositorySecret *ret) {
        const json_t *json;
        char key[24];

        assert(s);
        assert(ret);

        (void) snprintf(key, sizeof(key), "%" PRIu64, target_id);
        json = json_object_get(s->repositories, key);
        return json ? repository_secret_parse(json, ret) : -ENOKEY;
}

int command_secrets_add_repository(CommandSecrets *s, uint64_t target_id, const RepositorySecret *secret) {
        json_t *json = NULL;
        char key[24];
        int r;

        assert(s);

        if (!s->repositories)
                s->repositories = json_object();
        if (!s->repositories)
                return -ENOMEM;
        (void) snprintf(key, sizeof(key), "%" PRIu64, target_id);
        r = repository_secret_build(secret, &json);
        return r < 0 ? r : json_set(s->repositories, key, json);
}
