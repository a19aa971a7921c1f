/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/command.h"
#include "wire/database.h"
#include "wire/entity.h"
#include "wire/path.h"

/* {"code","message"}, or null. */
static json_t *error_to_json(const char *code, const char *message) {
        _cleanup_json_ json_t *json = NULL;

        if (!code && !message)
                return json_null();
        json = json_object();
        if (json_set(json, "code", json_from_string(code)) < 0 ||
            json_set(json, "message", json_from_string(message)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

static json_t *run_target_to_json(const RunTarget *target) {
        _cleanup_json_ json_t *json = json_object();

        assert(target);

        if (json_set(json, "target_id", json_from_id(target->target_id)) < 0 ||
            json_set(json, "target_name", json_from_string(target->target_name)) < 0 ||
            json_set(json, "state", json_from_string(run_target_state_to_string(target->state))) < 0 ||
            json_set(json, "key", json_from_string(target->key)) < 0 ||
            json_set(json, "size", json_from_u64(target->size)) < 0 ||
            json_set(json, "sha256", json_from_string(target->sha256)) < 0 ||
            json_set(json, "snapshot_id", json_from_string(target->snapshot)) < 0 ||
            json_set(json, "error", error_to_json(target->error_code, target->error)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

static json_t *run_targets_to_json(const RunTargetList *targets) {
        _cleanup_json_ json_t *array = json_array();

        for (size_t i = 0; i < targets->n; i++)
                if (json_append(array, run_target_to_json(&targets->items[i])) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

static int add_identity(json_t *json, const Run *run) {
        assert(run);

        if (json_set(json, "id", json_from_u64(run->id)) < 0 ||
            json_set(json, "kind", json_from_string(run_kind_to_string(run->kind))) < 0 ||
            json_set(json, "state", json_from_string(run_state_to_string(run->state))) < 0 ||
            json_set(json, "task_id", json_from_id(run->task_id)) < 0 ||
            json_set(json, "task_name", json_from_string(run->task_name)) < 0 ||
            json_set(json, "node_id", json_from_id(run->node_id)) < 0 ||
            json_set(json, "node_name", json_from_string(run->node_name)) < 0 ||
            json_set(json, "node_label", json_from_string(run->node_label)) < 0 ||
            json_set(json, "waiting_for", json_from_string(run->waiting)) < 0 ||
            json_set(json, "origin", json_from_string(run->origin)) < 0 ||
            json_set(json, "user_id", json_from_id(run->user_id)) < 0 ||
            json_set(json, "username", json_from_string(run->username)) < 0 ||
            json_set(json, "source_run_id", json_from_id(run->source_run)) < 0 ||
            json_set(json, "attempt", json_from_u64(run->attempt)) < 0 ||
            json_set(json, "cancel_requested", json_boolean(run->cancel)) < 0)
                return -ENOMEM;
        return 0;
}

static int add_times(json_t *json, const Run *run) {
        assert(run);

        if (json_set(json, "scheduled_for", json_from_stamp(run->scheduled_for)) < 0 ||
            json_set(json, "deadline", json_from_stamp(run->deadline)) < 0 ||
            json_set(json, "queued_at", json_from_stamp(run->queued)) < 0 ||
            json_set(json, "dispatched_at", json_from_stamp(run->dispatched)) < 0 ||
            json_set(json, "started_at", json_from_stamp(run->started)) < 0 ||
            json_set(json, "first_read_at", json_from_stamp(run->first_read)) < 0 ||
            json_set(json, "finished_at", json_from_stamp(run->finished)) < 0)
                return -ENOMEM;
        return 0;
}

/* Of a run that has not ended the newest progress knows more than its row. */
static json_t *figure(uint64_t settled, const json_t *progress, const char *name) {
        json_int_t live = json_integer_value(json_object_get(progress, name));

        return json_from_u64(live > 0 ? MAX(settled, (uint64_t) live) : settled);
}

static int add_outcome(json_t *json, const Run *run, const json_t *progress) {
        assert(run);

        if (json_set(json, "error", error_to_json(run->error_code, run->error)) < 0 ||
            json_set(json, "bytes_read", figure(run->bytes_read, progress, "bytes_read")) < 0 ||
            json_set(json, "bytes_written", figure(run->bytes_written, progress, "bytes_written")) < 0 ||
            json_set(json, "files", figure(run->files, progress, "files_done")) < 0 ||
            json_set(json, "skipped", json_from_u64(run->skipped)) < 0 ||
            json_set(json, "errors_total", json_from_u64(run->errors_total)) < 0 ||
            json_set(json, "encrypted", json_boolean(run->encrypted)) < 0 ||
            json_set(json, "format", json_from_string(run->format)) < 0)
                return -ENOMEM;
        return 0;
}

/* Of a backup into a repository. */
static int add_counts(json_t *json, const Run *run) {
        bool counted;

        assert(run);

        counted = streq_ptr(run->format, "repository");
        if (json_set(json, "files_new", counted ? json_from_u64(run->files_new) : json_null()) < 0 ||
            json_set(json, "files_changed", counted ? json_from_u64(run->files_changed) : json_null()) < 0 ||
            json_set(json, "files_unchanged", counted ? json_from_u64(run->files_unchanged) : json_null()) <
                            0 ||
            json_set(json, "bytes_new", counted ? json_from_u64(run->bytes_new) : json_null()) < 0 ||
            json_set(json, "bytes_total", counted ? json_from_u64(run->bytes_total) : json_null()) < 0)
                return -ENOMEM;
        return 0;
}

/* What only the page of one run shows. */
static int add_details(json_t *json, const Run *run, const RunTargetList *targets, json_t *progress) {
        if (json_set(json, "targets", run_targets_to_json(targets)) < 0 ||
            json_set(json, "errors", run->errors ? json_from_text(run->errors) : json_array()) < 0 ||
            json_set(json, "manifest_sha256", json_from_string(run->manifest_sha256)) < 0 ||
            json_set(json, "request", json_from_text(run->request)) < 0 ||
            json_set(json, "progress", json_incref(progress)) < 0)
                return -ENOMEM;
        return 0;
}

json_t *run_to_json(const Run *run, const RunTargetList *targets, const char *progress) {
        _cleanup_json_ json_t *json = json_object(), *live = json_from_text(progress);

        assert(run);

        if (add_identity(json, run) < 0 || add_times(json, run) < 0 || add_outcome(json, run, live) < 0 ||
            add_counts(json, run) < 0)
                return NULL;
        if (targets && add_details(json, run, targets, live) < 0)
                return NULL;
        return TAKE_PTR(json);
}

json_t *run_log_line_to_json(const RunLogLine *line) {
        _cleanup_json_ json_t *json = json_object();

        assert(line);

        if (json_set(json, "seq", json_from_u64(line->seq)) < 0 ||
            json_set(json, "t", json_from_stamp(line->at)) < 0 ||
            json_set(json, "level", json_from_string(line->level)) < 0 ||
            json_set(json, "text", json_from_string(line->text)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

json_t *snapshot_to_json(const StoredSnapshot *s) {
        _cleanup_json_ json_t *json = json_object();

        assert(s);

        if (json_set(json, "id", json_from_string(s->id)) < 0 ||
            json_set(json, "run_id", json_from_u64(s->run_id)) < 0 ||
            json_set(json, "run_state",
                     json_from_string(run_state_to_string((RunState) s->run_state))) < 0 ||
            json_set(json, "task_id", json_from_id(s->task_id)) < 0 ||
            json_set(json, "task_name", json_from_string(s->task_name)) < 0 ||
            json_set(json, "node_id", json_from_id(s->node_id)) < 0 ||
            json_set(json, "node_name", json_from_string(s->node_name)) < 0 ||
            json_set(json, "target_id", json_from_id(s->target_id)) < 0 ||
            json_set(json, "target_name", json_from_string(s->target_name)) < 0 ||
            json_set(json, "finished_at", json_from_stamp(s->finished)) < 0 ||
            json_set(json, "files", json_from_u64(s->files)) < 0 ||
            json_set(json, "bytes_new", json_from_u64(s->bytes_new)) < 0 ||
            json_set(json, "bytes_total", json_from_u64(s->bytes_total)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

/* --- Restores ------------------------------------------------------------------------------------- */

void restore_request_done(RestoreRequest *r) {
        assert(r);

        json_decref(r->body);
        *r = RESTORE_REQUEST_NULL;
}

/* {"database":{"path","name","drop","task_id"}}: into the server of a task, that of the run where none is
 * named. 1: there is one. */
static int read_database(JsonReader *destination, RestoreRequest *ret) {
        _cleanup_(database_restore_done) DatabaseRestore restore = DATABASE_RESTORE_NULL;
        json_t *built = NULL, *body = NULL;
        JsonReader database;
        uint64_t task = 0;
        int r;

        r = json_reader_object(destination, "database", JSON_OPTIONAL, &database);
        if (r <= 0)
                return r;
        (void) database_restore_read(&database, /* with_server= */ false, &restore);
        (void) json_reader_u64(&database, "task_id", JSON_OPTIONAL, INT64_MAX, &task);
        r = json_reader_finish(&database);
        if (r >= 0)
                r = json_reader_finish(destination);
        if (r >= 0)
                r = database_restore_build(&restore, &built);
        if (r < 0)
                return r;
        if (ret->node_id == 0)
                ret->in_place = true; /* the node that wrote it */
        body = json_object();
        r = json_set(built, "task_id", json_from_id(task));
        if (r >= 0)
                r = json_set(body, "database", json_incref(built));
        json_decref(built);
        if (r < 0) {
                json_decref(body);
                return r;
        }
        r = json_set(ret->body, "destination", body);
        return r < 0 ? r : 1;
}

/* Restoring in place is a word that is asked for, never what a malformed request falls into. */
static int read_destination(JsonReader *reader, RestoreRequest *ret) {
        _cleanup_(freep) char *path = NULL;
        const json_t *value = NULL;
        JsonReader destination;
        int r;

        assert(ret);

        r = json_reader_value(reader, "destination", JSON_REQUIRED, &value);
        if (r < 0)
                return r;
        if (json_is_string(value) && streq(json_string_value(value), "in_place")) {
                ret->in_place = true;
                return json_set(ret->body, "destination", json_pack("{s:b}", "in_place", 1));
        }
        if (!json_is_object(value))
                return json_reader_fail(reader, "destination",
                                        "is either {\"node_id\":…,\"path\":…} or \"in_place\"");
        r = json_reader_object(reader, "destination", JSON_REQUIRED, &destination);
        if (r < 0)
                return r;
        json_reader_u64(&destination, "node_id", JSON_OPTIONAL, INT64_MAX, &ret->node_id);
        r = read_database(&destination, ret);
        if (r != 0)
                return MIN(r, 0);
        r = json_reader_path(&destination, "path", JSON_REQUIRED, &path);
        if (r > 0 && !path_is_normalized_absolute(path))
                return json_reader_fail(&destination, "path",
                                        "is not an absolute path without '.', '..' and doubled slashes");
        r = json_reader_finish(&destination);
        if (r < 0)
                return r;
        if (ret->node_id == 0)
                ret->node_id = NODE_LOCAL;
        return json_set(ret->body, "destination", json_pack("{s:o}", "path", json_from_path(path)));
}

static int read_paths(JsonReader *reader, RestoreRequest *ret) {
        _cleanup_(strv_freep) char **paths = NULL;
        int r;

        assert(ret);

        r = json_reader_paths(reader, "paths", JSON_OPTIONAL, RESTORE_PATHS_MAX, &paths);
        if (r < 0)
                return r;
        STRV_FOREACH(path, paths)
                if (!path_is_normalized_absolute(*path))
                        return json_reader_fail(reader, "paths",
                                                "holds an entry that is not an absolute path of the backup");
        return json_set(ret->body, "paths", paths ? json_from_paths(paths) : json_array());
}

static int read_conflict(JsonReader *reader, RestoreRequest *ret) {
        const char *conflict = "fail";
        int r;

        assert(ret);

        r = json_reader_string(reader, "conflict", JSON_OPTIONAL, 16, &conflict);
        if (r < 0)
                return r;
        if (restore_conflict_from_string(conflict) < 0)
                return json_reader_fail(reader, "conflict", "is one of fail, overwrite, skip, resume");
        return json_set(ret->body, "conflict", json_from_string(conflict));
}

static int read_force(JsonReader *reader, RestoreRequest *ret) {
        bool force = false;
        int r;

        r = json_reader_bool(reader, "force", JSON_OPTIONAL, &force);
        return r > 0 && force ? json_set(ret->body, "force", json_true()) : r;
}

int restore_request_from_json(const json_t *json, RestoreRequest *ret, Failure *reterr_failure) {
        _cleanup_(restore_request_done) RestoreRequest request = RESTORE_REQUEST_NULL;
        JsonReader reader;
        int r;

        assert(ret);

        request.body = json_object();
        if (!request.body)
                return -ENOMEM;
        json_reader_init(&reader, json, reterr_failure);
        r = read_destination(&reader, &request);
        if (r >= 0 || r == -EBADMSG)
                r = read_paths(&reader, &request);
        if (r >= 0 || r == -EBADMSG)
                r = read_conflict(&reader, &request);
        if (r >= 0 || r == -EBADMSG)
                r = read_force(&reader, &request);
        if (r >= 0 || r == -EBADMSG)
                r = json_reader_finish(&reader);
        if (r < 0)
                return r;
        *ret = request;
        request = RESTORE_REQUEST_NULL;
        return 0;
}
