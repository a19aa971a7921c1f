/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/queue.h"
#include "store/run.h"
#include "wire/entity.h"
#include "wire/path.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/sibling.h"

/* A page of one directory. */
#define ENTRIES_DEFAULT 500U
#define CURSOR_MAX 8192U

/* The run of the path, which has to be a backup with something in it. */
static int get_archive(Request *r, Run *ret) {
        int error;

        error = run_get(r->api->store, r->id, ret);
        if (error < 0)
                return error;
        if (error > 0)
                error = request_fail(r, ERROR_RUN_NOT_FOUND, "There is no run %" PRIu64 ".", r->id);
        else if (ret->kind != RUN_BACKUP)
                error = request_fail(r, ERROR_RUN_NO_ARCHIVE, "Run %" PRIu64 " is not a backup.", r->id);
        else if (!ret->manifest_sha256)
                error = request_fail(r, ERROR_RUN_NO_ARCHIVE, "Run %" PRIu64 " (%s) left no archive.", r->id,
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

/* --- Browse --------------------------------------------------------------------------------------- */

static int reply_entries(Request *r, uint64_t command_id) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_json_ json_t *result = NULL;
        int error;

        error = command_get(r->api->store, command_id, &command);
        if (error != 0)
                return error < 0 ? error : -ESTALE;
        if (command.state != COMMAND_SUCCEEDED)
                return request_fail(r, ERROR_PROBE_FAILED, "%s%s%s", strempty(command.error_code),
                                    command.error_code ? ": " : "",
                                    command.error ? command.error : "The node could not list the archive.");
        result = json_from_text(command.result);
        if (!json_is_array(json_object_get(result, "entries")))
                return request_fail(r, ERROR_PROBE_FAILED, "The node's answer is not a listing.");
        return request_reply(r, MHD_HTTP_OK,
                             json_pack("{s:O, s:O}", "items", json_object_get(result, "entries"),
                                       "next_cursor",
                                       json_object_get(result, "next_cursor") ?: json_null()));
}

static void entries_done(Request *r, int error, uint64_t command_id, const Failure *failure) {
        request_end(r, error < 0 ? request_fail_failure(r, error, failure) : reply_entries(r, command_id));
}

static int query_limit(Request *r, uint32_t *ret) {
        const char *text = request_query(r, "limit"), *cursor = request_query(r, "cursor");
        Page page = { .limit = ENTRIES_DEFAULT };

        if (text && page_parse(text, NULL, &page) < 0)
                return request_refused(request_fail_field(r, ERROR_QUERY_INVALID, "limit",
                                                          "limit is a number from 1 to %u.",
                                                          PAGE_LIMIT_MAX));
        if (cursor && strlen(cursor) > CURSOR_MAX)
                return request_refused(
                                request_fail_field(r, ERROR_QUERY_INVALID, "cursor",
                                                   "cursor is the next_cursor of an earlier answer."));
        *ret = (uint32_t) page.limit;
        return 0;
}

static json_t *browse_to_json(Request *r, const Run *source, uint32_t limit) {
        const char *path = strempty(request_query(r, "path")),
                   *cursor = strempty(request_query(r, "cursor"));
        _cleanup_json_ json_t *spec = json_object(), *json = json_object();

        if (json_set(spec, "path", path[0] ? json_from_path(path) : json_from_string("")) < 0 ||
            json_set(spec, "limit", json_from_u64(limit)) < 0 ||
            json_set(spec, "cursor", json_from_string(cursor)) < 0)
                return NULL;
        if (json_set(json, "node_id", json_from_u64(source->node_id)) < 0 ||
            json_set(json, "kind", json_from_string("browse")) < 0 ||
            json_set(json, "spec", TAKE_PTR(spec)) < 0 || json_set(json, "target_ids", json_array()) < 0 ||
            json_set(json, "source_run", json_from_u64(source->id)) < 0 ||
            json_set(json, "by", change_by(r)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

/* One directory of the archive, listed by a node: nobody on the master reads what a node wrote. */
int run_entries(Request *r) {
        const char *path = request_query(r, "path");
        _cleanup_(run_done) Run source = RUN_NULL;
        _cleanup_json_ json_t *json = NULL;
        _cleanup_(freep) char *text = NULL;
        uint32_t limit;
        int error;

        if (!isempty(path) && !path_is_normalized_absolute(path))
                return request_fail_field(
                                r, ERROR_QUERY_INVALID, "path",
                                "path is an absolute path of the archive, or empty for its roots.");
        error = query_limit(r, &limit);
        if (error >= 0)
                error = get_archive(r, &source);
        if (error < 0)
                return error;
        json = browse_to_json(r, &source, limit);
        if (!json)
                return -ENOMEM;
        error = json_format(json, &text, NULL);
        return error < 0 ? error : sibling_probe(r, text, entries_done);
}
