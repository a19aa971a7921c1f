/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "store/node.h"
#include "wire/command.h"
#include "wire/entity.h"
#include "wire/path.h"
#include "wire/rclone-options.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/probe.h"
#include "services/api/sibling.h"

#define DIRECTORIES_DEFAULT 1000U

/* --- The question --------------------------------------------------------------------------------- */

int probe_listing_query(Request *r, uint32_t limit, uint32_t max, ProbeListing *ret) {
        ProbeListing l = { .path = strempty(request_query(r, "path")),
                           .cursor = strempty(request_query(r, "cursor")),
                           .limit = limit };
        const char *text = request_query(r, "limit");
        int error;

        assert(ret);

        if (text && parse_u32(text, 1, max, &l.limit) < 0)
                error = request_fail_field(r, ERROR_QUERY_INVALID, "limit",
                                           "limit is a number from 1 to %" PRIu32 ".", max);
        else if (strlen(l.cursor) > LISTING_CURSOR_MAX)
                error = request_fail_field(r, ERROR_QUERY_INVALID, "cursor",
                                           "cursor is the next_cursor of an earlier answer.");
        else if (!isempty(l.path) && !path_is_normalized_absolute(l.path))
                error = request_fail_field(r, ERROR_QUERY_INVALID, "path",
                                           "path is an absolute path, without '..' and doubled slashes.");
        else {
                *ret = l;
                return 0;
        }
        return request_refused(error);
}

json_t *probe_listing_spec(const ProbeListing *l) {
        _cleanup_json_ json_t *spec = json_object();

        assert(l);

        if (json_set(spec, "path", isempty(l->path) ? json_string("") : json_from_path(l->path)) < 0 ||
            json_set(spec, "limit", json_from_u64(l->limit)) < 0 ||
            json_set(spec, "cursor", json_from_string(l->cursor)) < 0)
                return NULL;
        return TAKE_PTR(spec);
}

int probe_ask(Request *r, uint64_t node_id, const char *kind, json_t *spec, json_t *more,
              SiblingReply reply) {
        _cleanup_json_ json_t *json = more ?: json_object(), *kept = spec;
        _cleanup_(freep) char *text = NULL;
        int error;

        assert(kind);
        assert(reply);

        if (!kept || !json)
                return -ENOMEM;
        error = json_set(json, "node_id", json_from_u64(node_id));
        if (error >= 0)
                error = json_set(json, "kind", json_from_string(kind));
        if (error >= 0)
                error = json_set(json, "spec", TAKE_PTR(kept));
        if (error >= 0)
                error = json_set(json, "by", change_by(r));
        if (error >= 0)
                error = json_format(json, &text, NULL);
        return error < 0 ? error : sibling_probe(r, text, reply);
}

/* --- The answer ----------------------------------------------------------------------------------- */

/* What the node says is told with its code where clients have use for it. */
static int fail_command(Request *r, const Command *command) {
        ApiError code = ERROR_PROBE_FAILED;
        int error;

        if (streq_ptr(command->error_code, "PATH_NOT_FOUND"))
                code = ERROR_PATH_NOT_FOUND;
        else if (streq_ptr(command->error_code, "POLICY_DENIED"))
                code = ERROR_POLICY_DENIED;
        if (code != ERROR_PROBE_FAILED && command->error)
                error = request_fail(r, code, "%s", command->error);
        else
                error = request_fail(r, ERROR_PROBE_FAILED, "%s%s%s", strempty(command->error_code),
                                     command->error_code ? ": " : "",
                                     command->error ? command->error : "The node gave no answer.");
        return request_refused(error);
}

int probe_result(Request *r, uint64_t command_id, Command *ret_command, json_t **ret_result) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        json_t *result;
        int error;

        assert(ret_command);
        assert(ret_result);

        error = command_get(r->api->store, command_id, &command);
        if (error != 0)
                return error < 0 ? error : -ESTALE;
        if (command.state != COMMAND_SUCCEEDED)
                return fail_command(r, &command);
        result = json_from_text(command.result);
        if (!result)
                return -ENOMEM;
        *ret_command = command;
        command = COMMAND_NULL;
        *ret_result = result;
        return 0;
}

static int reply_listing(Request *r, uint64_t command_id) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_json_ json_t *result = NULL;
        int error;

        error = probe_result(r, command_id, &command, &result);
        if (error < 0)
                return error;
        if (!json_is_array(json_object_get(result, "entries")))
                return request_fail(r, ERROR_PROBE_FAILED, "The node's answer is not a listing.");
        return request_reply(r, MHD_HTTP_OK,
                             json_pack("{s:O, s:O}", "items", json_object_get(result, "entries"),
                                       "next_cursor",
                                       json_object_get(result, "next_cursor") ?: json_null()));
}

void probe_listing_done(Request *r, int error, uint64_t command_id, const Failure *failure) {
        request_end(r, error < 0 ? request_fail_failure(r, error, failure) : reply_listing(r, command_id));
}

/* --- Of a node ------------------------------------------------------------------------------------ */

int probe_check_node(Request *r) {
        _cleanup_(node_done) Node node = NODE_NULL;
        int error;

        error = node_get(r->api->store, r->id, &node);
        if (error <= 0)
                return error;
        error = request_fail(r, ERROR_NODE_NOT_FOUND, "There is no node %" PRIu64 ".", r->id);
        return request_refused(error);
}

/* One directory of the node, as its agent's jobs see it. */
int node_directories(Request *r) {
        ProbeListing listing;
        int error;

        error = probe_check_node(r);
        if (error >= 0)
                error = probe_listing_query(r, DIRECTORIES_DEFAULT, LISTING_LIMIT_MAX, &listing);
        if (error < 0)
                return error;
        return probe_ask(r, r->id, command_kind_to_string(COMMAND_LIST_DIR), probe_listing_spec(&listing),
                         /* more= */ NULL, probe_listing_done);
}

static int reply_backends(Request *r, uint64_t command_id) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_json_ json_t *result = NULL;
        json_t *backends;
        int error;

        error = probe_result(r, command_id, &command, &result);
        if (error < 0)
                return error;
        backends = json_object_get(result, "backends");
        if (!json_is_array(backends))
                return request_fail(r, ERROR_PROBE_FAILED, "The node's answer is not a list of backends.");
        return request_reply(r, MHD_HTTP_OK, json_pack("{s:O}", "backends", backends));
}

static void backends_done(Request *r, int error, uint64_t command_id, const Failure *failure) {
        request_end(r, error < 0 ? request_fail_failure(r, error, failure) : reply_backends(r, command_id));
}

/* The backends that the node's rclone has; the options of one of them, which a form is made of. */
int node_rclone_backends(Request *r) {
        const char *backend = request_query(r, "backend");
        json_t *spec;
        int error;

        error = probe_check_node(r);
        if (error < 0)
                return error;
        if (backend && !rclone_backend_name_is_valid(backend)) {
                error = request_fail_field(r, ERROR_QUERY_INVALID, "backend",
                                           "backend is the name of a backend of rclone.");
                return request_refused(error);
        }
        spec = backend ? json_pack("{s:s}", "backend", backend) : json_object();
        return probe_ask(r, r->id, command_kind_to_string(COMMAND_RCLONE_BACKENDS), spec, /* more= */ NULL,
                         backends_done);
}
