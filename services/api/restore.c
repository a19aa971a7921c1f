/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/run.h"
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
