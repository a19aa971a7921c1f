/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "wire/path.h"
#include "wire/result.h"

#define CODE_MAX 64
#define MESSAGE_TEXT_MAX 4096
#define OBJECT_NAME_MAX 255
#define KEY_MAX 1024
#define SHA256_SIZE 32

static const char *const result_status_table[_RESULT_STATUS_MAX] = {
        [RESULT_SUCCEEDED] = "succeeded",
        [RESULT_PARTIAL] = "partial",
        [RESULT_FAILED] = "failed",
        [RESULT_CANCELLED] = "cancelled",
};

DEFINE_STRING_TABLE(result_status, ResultStatus);

static json_t *from_sha256(const uint8_t digest[static SHA256_SIZE]) {
        char hex[2 * SHA256_SIZE + 1];

        return json_string(hex_encode(digest, SHA256_SIZE, hex));
}

/* --- Errors ------------------------------------------------------------------------------------------ */

static ResultError *errors_free(ResultError *errors, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(errors[i].path);
                free(errors[i].code);
                free(errors[i].message);
        }
        return mfree(errors);
}

static json_t *build_errors(const ResultError *errors, size_t n) {
        _cleanup_json_ json_t *array = json_array();

        for (size_t i = 0; i < n; i++) {
                json_t *e = json_object();

                if (json_append(array, e) < 0 || json_set(e, "path", json_from_path(errors[i].path)) < 0 ||
                    json_set(e, "code", json_from_string(errors[i].code)) < 0 ||
                    json_set(e, "message", json_from_string(errors[i].message)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static void read_error(JsonReader *row, void *item) {
        ResultError *e = item;

        (void) json_reader_path(row, "path", JSON_OPTIONAL, &e->path);
        (void) json_reader_strdup(row, "code", JSON_REQUIRED, CODE_MAX, &e->code);
        (void) json_reader_strdup(row, "message", JSON_REQUIRED, MESSAGE_TEXT_MAX, &e->message);
}

static const JsonRows error_rows = { RESULT_ERRORS_MAX, sizeof(ResultError), read_error };

/* --- Figures ----------------------------------------------------------------------------------------- */

static void figures_done(ResultFigures *f) {
        errors_free(f->errors, f->n_errors);
}

static int build_figures(const ResultFigures *f, json_t *json) {
        int r;

        assert(f);

        r = json_set(json, "bytes_read", json_from_u64(f->bytes_read));
        if (r >= 0)
                r = json_set(json, "bytes_written", json_from_u64(f->bytes_written));
        if (r >= 0)
                r = json_set(json, "files", json_from_u64(f->files));
        if (r >= 0)
                r = json_set(json, "skipped", json_from_u64(f->skipped));
        if (r >= 0)
                r = json_set(json, "errors", build_errors(f->errors, f->n_errors));
        if (r >= 0)
                r = json_set(json, "errors_total", json_from_u64(f->errors_total));
        return r;
}

/* A total below the number of those that are named is not believed. */
static void read_figures(JsonReader *r, ResultFigures *f) {
        (void) json_reader_u64(r, "bytes_read", JSON_REQUIRED, INT64_MAX, &f->bytes_read);
        (void) json_reader_u64(r, "bytes_written", JSON_REQUIRED, INT64_MAX, &f->bytes_written);
        (void) json_reader_u64(r, "files", JSON_REQUIRED, INT64_MAX, &f->files);
        (void) json_reader_u64(r, "skipped", JSON_OPTIONAL, INT64_MAX, &f->skipped);
        (void) json_reader_u64(r, "errors_total", JSON_OPTIONAL, INT64_MAX, &f->errors_total);
        (void) json_reader_rows(r, "errors", JSON_OPTIONAL, &error_rows, &f->errors, &f->n_errors);
        f->errors_total = MAX(f->errors_total, f->n_errors);
}

/* --- Objects ----------------------------------------------------------------------------------------- */

static json_t *build_objects(const BackupOutcome *o) {
        _cleanup_json_ json_t *array = json_array();

        assert(o);

        for (size_t i = 0; i < o->n_objects; i++) {
                const ResultObject *object = &o->objects[i];
                json_t *e = json_object();

                if (json_append(array, e) < 0 || json_set(e, "name", json_from_string(object->name)) < 0 ||
                    json_set(e, "size", json_from_u64(object->size)) < 0 ||
                    json_set(e, "sha256", from_sha256(object->sha256)) < 0 ||
                    json_set(e, "age_header", json_from_string(object->age_header)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static void read_object(JsonReader *row, void *item) {
        ResultObject *object = item;

        assert(row);

        (void) json_reader_strdup(row, "name", JSON_REQUIRED, OBJECT_NAME_MAX, &object->name);
        (void) json_reader_u64(row, "size", JSON_REQUIRED, INT64_MAX, &object->size);
        (void) json_reader_hex(row, "sha256", JSON_REQUIRED, object->sha256, SHA256_SIZE);
        (void) json_reader_strdup(row, "age_header", JSON_OPTIONAL, RESULT_AGE_HEADER_MAX,
                                  &object->age_header);
        if (row->error >= 0 && strchr(object->name, '/'))
                (void) json_reader_fail(row, "name", "must not have a '/'");
}

static const JsonRows object_rows = { RESULT_OBJECTS_MAX, sizeof(ResultObject), read_object };

/* --- Targets ----------------------------------------------------------------------------------------- */

static json_t *build_targets(const BackupOutcome *o) {
        _cleanup_json_ json_t *array = json_array();

        assert(o);

        for (size_t i = 0; i < o->n_targets; i++) {
                const ResultTarget *t = &o->targets[i];
                json_t *e = json_object();

                if (json_append(array, e) < 0 || json_set(e, "target_id", json_from_u64(t->target_id)) < 0 ||
                    json_set(e, "state", json_string(t->succeeded ? "succeeded" : "failed")) < 0 ||
                    json_set(e, "key", json_from_string(t->key)) < 0 ||
                    json_set(e, "size", json_from_u64(t->size)) < 0 ||
                    json_set(e, "sha256",
                             t->succeeded && !t->snapshot ? from_sha256(t->sha256) : json_null()) < 0 ||
                    (t->snapshot && json_set(e, "snapshot", json_string(t->snapshot)) < 0) ||
                    json_set(e, "error", json_from_string(t->error)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static void read_target(JsonReader *row, void *item) {
        ResultTarget *t = item;
        const char *state = NULL;

        (void) json_reader_u64(row, "target_id", JSON_REQUIRED, INT64_MAX, &t->target_id);
        if (json_reader_string(row, "state", JSON_REQUIRED, 16, &state) > 0) {
                t->succeeded = streq(state, "succeeded");
                if (!t->succeeded && !streq(state, "failed"))
                        (void) json_reader_fail(row, "state", "has to be succeeded or failed");
        }
        (void) json_reader_strdup(row, "key", t->succeeded ? JSON_REQUIRED : JSON_OPTIONAL, KEY_MAX,
                                  &t->key);
        (void) json_reader_u64(row, "size", JSON_OPTIONAL, INT64_MAX, &t->size);
        (void) json_reader_strdup(row, "snapshot", JSON_OPTIONAL, 2 * SHA256_SIZE, &t->snapshot);
        if (row->error >= 0 && t->snapshot && !snapshot_id_is_valid(t->snapshot))
                (void) json_reader_fail(row, "snapshot", "has to be %d hexadecimal digits", 2 * SHA256_SIZE);
        (void) json_reader_hex(row, "sha256", t->succeeded && !t->snapshot ? JSON_REQUIRED : JSON_OPTIONAL,
                               t->sha256, SHA256_SIZE);
        (void) json_reader_strdup(row, "error", JSON_OPTIONAL, MESSAGE_TEXT_MAX, &t->error);
}

static const JsonRows target_rows = { SPEC_TARGETS_MAX, sizeof(ResultTarget), read_target };

/* --- backup ------------------------------------------------------------------------------------------ */

void backup_outcome_done(BackupOutcome *o) {
        assert(o);

        figures_done(&o->figures);
        for (size_t i = 0; i < o->n_objects; i++) {
                free(o->objects[i].name);
                free(o->objects[i].age_header);
        }
        free(o->objects);
        for (size_t i = 0; i < o->n_targets; i++) {
                free(o->targets[i].key);
                free(o->targets[i].snapshot);
                free(o->targets[i].error);
        }
        free(o->targets);
        *o = BACKUP_OUTCOME_NULL;
}

static int build_counts(const BackupOutcome *o, json_t *json) {
        int r;

        assert(o);

        r = json_set(json, "files_new", json_from_u64(o->files_new));
        if (r >= 0)
                r = json_set(json, "files_changed", json_from_u64(o->files_changed));
        if (r >= 0)
                r = json_set(json, "files_unchanged", json_from_u64(o->files_unchanged));
        if (r >= 0)
                r = json_set(json, "bytes_new", json_from_u64(o->bytes_new));
        if (r >= 0)
                r = json_set(json, "bytes_total", json_from_u64(o->bytes_total));
        return r;
}

static void read_counts(JsonReader *r, BackupOutcome *o) {
        assert(o);

        (void) json_reader_u64(r, "files_new", JSON_OPTIONAL, INT64_MAX, &o->files_new);
        (void) json_reader_u64(r, "files_changed", JSON_OPTIONAL, INT64_MAX, &o->files_changed);
        (void) json_reader_u64(r, "files_unchanged", JSON_OPTIONAL, INT64_MAX, &o->files_unchanged);
        (void) json_reader_u64(r, "bytes_new", JSON_OPTIONAL, INT64_MAX, &o->bytes_new);
        o->has_counts = json_reader_u64(r, "bytes_total", JSON_OPTIONAL, INT64_MAX, &o->bytes_total) > 0;
}

int backup_outcome_build(const BackupOutcome *o, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(o);
        assert(ret);

        r = build_figures(&o->figures, json);
        if (r >= 0)
                r = json_set(json, "lost_total", json_from_u64(o->lost_total));
        if (r >= 0)
                r = json_set(json, "objects", build_objects(o));
        if (r >= 0)
                r = json_set(json, "manifest_sha256",
                             o->has_manifest ? from_sha256(o->manifest_sha256) : json_null());
        if (r >= 0)
                r = json_set(json, "targets", build_targets(o));
        if (r >= 0)
                r = json_set(json, "first_read_usec", json_from_u64(o->first_read_usec));
        if (r >= 0 && o->has_counts)
                r = build_counts(o, json);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

int backup_outcome_parse(const json_t *json, BackupOutcome *ret, Failure *reterr_failure) {
        _cleanup_(backup_outcome_done) BackupOutcome o = BACKUP_OUTCOME_NULL;
        JsonReader r;
        bool told;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        read_figures(&r, &o.figures);
        told = json_reader_u64(&r, "lost_total", JSON_OPTIONAL, INT64_MAX, &o.lost_total) > 0;
        (void) json_reader_u64(&r, "first_read_usec", JSON_OPTIONAL, INT64_MAX, &o.first_read_usec);
        read_counts(&r, &o);
        o.has_manifest = json_reader_hex(&r, "manifest_sha256", JSON_OPTIONAL, o.manifest_sha256,
                                         SHA256_SIZE) > 0;
        (void) json_reader_rows(&r, "objects", JSON_OPTIONAL, &object_rows, &o.objects, &o.n_objects);
        (void) json_reader_rows(&r, "targets", JSON_REQUIRED, &target_rows, &o.targets, &o.n_targets);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        /* More losses than errors is no reason to believe in fewer. */
        if (told)
                o.figures.errors_total = MAX(o.figures.errors_total, o.lost_total);
        else
                o.lost_total = o.figures.errors_total;
        *ret = o;
        o = BACKUP_OUTCOME_NULL;
        return 0;
}

/* --- restore ----------------------------------------------------------------------------------------- */

void restore_outcome_done(RestoreOutcome *o) {
        assert(o);

        figures_done(&o->figures);
        free(o->destination);
        *o = RESTORE_OUTCOME_NULL;
}

int restore_outcome_build(const RestoreOutcome *o, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(o);
        assert(ret);

        r = build_figures(&o->figures, json);
        if (r >= 0)
                r = json_set(json, "destination", json_from_path(o->destination));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

int restore_outcome_parse(const json_t *json, RestoreOutcome *ret, Failure *reterr_failure) {
        _cleanup_(restore_outcome_done) RestoreOutcome o = RESTORE_OUTCOME_NULL;
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        read_figures(&r, &o.figures);
        (void) json_reader_path(&r, "destination", JSON_OPTIONAL, &o.destination);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = o;
        o = RESTORE_OUTCOME_NULL;
        return 0;
}
