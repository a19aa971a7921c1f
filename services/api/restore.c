/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/parse.h"
#include "store/run.h"
#include "wire/command.h"
#include "wire/path.h"
#include "wire/prune.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/probe.h"
#include "services/api/sibling.h"

/* A page of one directory. */
#define ENTRIES_DEFAULT 500U
#define ENTRIES_MAX 1000U

/* The run of the path, which has to be a backup with something in it. */
static int get_archive(Request *r, Run *ret) {
        int error;

        assert(r);
        assert(ret);

        error = run_get(r->api->store, r->id, ret);
        if (error < 0)
                return error;
        if (error > 0)
                error = request_fail(r, ERROR_RUN_NOT_FOUND, "There is no run %" PRIu64 ".", r->id);
        else if (ret->kind != RUN_BACKUP)
                error = request_fail(r, ERROR_RUN_NO_ARCHIVE, "Run %" PRIu64 " is not a backup.", r->id);
        else if (ret->archives == 0 && ret->format)
                error = request_fail(r, ERROR_RUN_NO_ARCHIVE,
                                     "The backup of run %" PRIu64 " was removed: no repository has its "
                                     "snapshot any more.",
                                     r->id);
        else if (ret->archives == 0)
                error = request_fail(r, ERROR_RUN_NO_ARCHIVE, "Run %" PRIu64 " (%s) left no backup.", r->id,
                                     run_state_to_string(ret->state));
        else
                return 0;
        return error < 0 ? error : -EBADMSG;
}

/* --- Restore -------------------------------------------------------------------------------------- */

static int read_restore(Request *r, RestoreRequest *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        int error;

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        return request_check(r, restore_request_from_json(body, ret, &failure), &failure);
}

static void restore_done(Request *r, int error, uint64_t run_id, const Failure *failure) {
        if (error < 0)
                request_end(r, request_fail_failure(r, error, failure));
        else
                request_end(r,
                            request_reply(r, MHD_HTTP_ACCEPTED,
                                          json_pack("{s:I}", "run_id", (json_int_t) run_id)));
}

static json_t *restore_to_json(Request *r, const Run *source, const RestoreRequest *restore) {
        _cleanup_json_ json_t *json = json_object();

        assert(source);
        assert(restore);

        if (json_set(json, "kind", json_from_string("restore")) < 0 ||
            json_set(json, "source_run", json_from_u64(source->id)) < 0 ||
            json_set(json, "node_id",
                     json_from_u64(restore->in_place ? source->node_id : restore->node_id)) < 0 ||
            json_set(json, "restore", json_incref(restore->body)) < 0 ||
            json_set(json, "by", change_by(r)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

int run_restore(Request *r) {
        _cleanup_(restore_request_done) RestoreRequest restore = RESTORE_REQUEST_NULL;
        _cleanup_(run_done) Run source = RUN_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_json_ json_t *json = NULL;
        _cleanup_(freep) char *text = NULL;
        int error;

        assert(r);

        error = read_restore(r, &restore);
        if (error < 0)
                return error;
        error = get_archive(r, &source);
        if (error < 0)
                return error;
        error = node_get(r->api->store, restore.in_place ? source.node_id : restore.node_id, &node);
        if (error < 0)
                return error;
        if (error > 0)
                return request_fail_field(r, ERROR_FIELD_INVALID, "destination.node_id",
                                          "There is no such node (any more).");
        json = restore_to_json(r, &source, &restore);
        if (!json)
                return -ENOMEM;
        error = json_format(json, &text, NULL);
        return error < 0 ? error : sibling_queue_run(r, text, restore_done);
}

/* --- Verify -------------------------------------------------------------------------------------- */

static int read_verify(Request *r, json_t **ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        uint32_t share = 0, shares = 0;
        JsonReader reader;
        int error;

        error = request_body_json_or_none(r, &body);
        if (error < 0)
                return error;
        (void) json_reader_init(&reader, body, &failure);
        error = verify_shares_read(&reader, &share, &shares);
        if (error >= 0 || error == -EBADMSG)
                error = request_check(r, json_reader_finish(&reader), &failure);
        if (error >= 0)
                *ret = json_pack("{s:i, s:i}", "share", (int) share, "shares", (int) shares);
        return error;
}

/* A run of this kind, about the repositories of a backup. Takes over details. */
static int queue_about(Request *r, const Run *source, RunKind kind, json_t *details) {
        const char *name = run_kind_to_string(kind);
        _cleanup_(freep) char *text = NULL;
        _cleanup_json_ json_t *json = NULL;
        int error;

        json = json_pack("{s:s, s:I, s:I, s:o, s:o}", "kind", name, "source_run", (json_int_t) source->id,
                         "node_id", (json_int_t) source->node_id, name, details, "by", change_by(r));
        error = json ? json_format(json, &text, NULL) : -ENOMEM;
        return error < 0 ? error : sibling_queue_run(r, text, restore_done);
}

/* A backup that lies in repositories; negative: why not was answered, or an error. */
static int get_in_repositories(Request *r, const char *otherwise, Run *ret) {
        int error;

        error = get_archive(r, ret);
        if (error < 0 || streq_ptr(ret->format, FORMAT_REPOSITORY))
                return error;
        error = request_fail(r, ERROR_RUN_NO_ARCHIVE, "Run %" PRIu64 " did not write to repositories: %s",
                             ret->id, otherwise);
        return error < 0 ? error : -EBADMSG;
}

/* Whether the repositories that hold the backup are whole, and with them all that is in them. */
int run_verify(Request *r) {
        _cleanup_(run_done) Run source = RUN_NULL;
        _cleanup_json_ json_t *verify = NULL;
        int error;

        error = read_verify(r, &verify);
        if (error >= 0)
                error = get_in_repositories(r, "its archive is checked whenever it is read.", &source);
        return error < 0 ? error : queue_about(r, &source, RUN_VERIFY, TAKE_PTR(verify));
}

/* --- Prune --------------------------------------------------------------------------------------- */

static int read_prune(Request *r, json_t **ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        PruneWhen when;
        int error;

        error = request_body_json_or_none(r, &body);
        if (error >= 0)
                error = request_check(r, prune_request_parse(body, &when, &failure), &failure);
        return error < 0 ? error : prune_request_build(when, ret);
}

/* Removes what the backup's task does not keep, in the repositories that hold it, and gives space back. */
int run_prune(Request *r) {
        _cleanup_(run_done) Run source = RUN_NULL;
        _cleanup_json_ json_t *prune = NULL;
        int error;

        error = read_prune(r, &prune);
        if (error >= 0)
                error = get_in_repositories(r, "archives stay until they are deleted by hand.", &source);
        return error < 0 ? error : queue_about(r, &source, RUN_PRUNE, TAKE_PTR(prune));
}

/* --- One file ------------------------------------------------------------------------------------- */

typedef struct ContentQuery {
        const char *path;
        uint64_t offset;
        uint32_t limit;
} ContentQuery;

static int read_content_query(Request *r, ContentQuery *ret) {
        const char *offset = request_query(r, "offset"), *limit = request_query(r, "limit");
        ContentQuery q = { .path = request_query(r, "path"), .limit = READ_LENGTH_MAX };
        int error;

        assert(ret);

        if (isempty(q.path) || !path_is_normalized_absolute(q.path))
                error = request_fail_field(r, ERROR_QUERY_INVALID, "path",
                                           "path is the absolute path of a file, without '..' and doubled "
                                           "slashes.");
        else if (offset && parse_u64(offset, 0, INT64_MAX, &q.offset) < 0)
                error = request_fail_field(r, ERROR_QUERY_INVALID, "offset", "offset is a number of bytes.");
        else if (limit && parse_u32(limit, 1, READ_LENGTH_MAX, &q.limit) < 0)
                error = request_fail_field(r, ERROR_QUERY_INVALID, "limit",
                                           "limit is a number of bytes from 1 to %u.", READ_LENGTH_MAX);
        else {
                *ret = q;
                return 0;
        }
        return request_refused(error);
}

static int reply_content(Request *r, uint64_t command_id) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_json_ json_t *result = NULL, *content = NULL;
        int error;

        error = probe_result(r, command_id, &command, &result);
        if (error < 0)
                return error;
        content = pieces_take(&r->api->pieces, command_id, now_usec(CLOCK_MONOTONIC));
        if (!content)
                return request_fail(r, ERROR_UNAVAILABLE, "Too much was read at once: ask again.");
        if (!json_is_string(content) || !json_is_integer(json_object_get(result, "size")))
                return request_fail(r, ERROR_PROBE_FAILED, "The node's answer is not a piece of a file.");
        return request_reply(r, MHD_HTTP_OK,
                             json_pack("{s:O, s:O}", "size", json_object_get(result, "size"), "content",
                                       content));
}

static void content_done(Request *r, int error, uint64_t command_id, const Failure *failure) {
        request_end(r, error < 0 ? request_fail_failure(r, error, failure) : reply_content(r, command_id));
}

static json_t *content_spec(const ContentQuery *q) {
        _cleanup_json_ json_t *spec = json_object();

        if (json_set(spec, "path", json_from_path(q->path)) < 0 ||
            json_set(spec, "offset", json_from_u64(q->offset)) < 0 ||
            json_set(spec, "limit", json_from_u64(q->limit)) < 0)
                return NULL;
        return TAKE_PTR(spec);
}

/* A piece of a file: who wants all of it asks again behind it. Whoever reads of a file is put on record with
 * its first piece. */
int run_content(Request *r) {
        _cleanup_(run_done) Run source = RUN_NULL;
        ContentQuery query;
        int error;

        error = read_content_query(r, &query);
        if (error >= 0)
                error = get_archive(r, &source);
        if (error >= 0 && query.offset == 0)
                error = change_audit(r, "run.read", source.id, source.task_name,
                                     json_pack("{s:o}", "path", json_from_path(query.path)));
        if (error < 0)
                return error;
        return probe_ask(r, source.node_id, command_kind_to_string(COMMAND_READ_FILE), content_spec(&query),
                         json_pack("{s:I}", "source_run", (json_int_t) source.id), content_done);
}

/* --- Browse --------------------------------------------------------------------------------------- */

/* One directory of the archive, listed by a node: nobody on the master reads what a node wrote. */
int run_entries(Request *r) {
        _cleanup_(run_done) Run source = RUN_NULL;
        ProbeListing listing;
        int error;

        error = probe_listing_query(r, ENTRIES_DEFAULT, ENTRIES_MAX, &listing);
        if (error >= 0)
                error = get_archive(r, &source);
        if (error < 0)
                return error;
        return probe_ask(r, source.node_id, "browse", probe_listing_spec(&listing),
                         json_pack("{s:I}", "source_run", (json_int_t) source.id), probe_listing_done);
}
