/* SPDX-License-Identifier: Apache-2.0 */

/* POST nodes/{id}/discover-databases: which databases a node has, as far as nobody has to log in to see it;
 * or what is in one server, with a password that somebody enters or that a task has. */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/check.h"
#include "wire/command.h"
#include "wire/discovery.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/probe.h"
#include "services/api/secrets.h"

/* --- The answer ----------------------------------------------------------------------------------- */

/* {"type","version","databases","more","items"} of a node, with what its items come to. */
static int take_server(const json_t *told, json_t **ret) {
        _cleanup_json_ json_t *server = NULL, *report = NULL;
        json_t *items, *version = json_object_get(told, "version");
        _cleanup_(freep) char *summary = NULL;
        int r;

        if (!json_is_string(json_object_get(told, "type")) ||
            !json_is_array(json_object_get(told, "databases")))
                return -EBADMSG;
        r = check_report_parse(told, &report, NULL);
        if (r < 0)
                return r;
        items = json_object_get(report, "items");
        r = check_summary(items, &summary);
        if (r < 0)
                return r;
        server = json_pack("{s:O, s:O, s:O, s:b, s:s, s:o, s:O}", "type", json_object_get(told, "type"),
                           "version", json_is_string(version) ? version : json_null(), "databases",
                           json_object_get(told, "databases"), "more",
                           json_is_true(json_object_get(told, "more")), "state",
                           check_state_to_string(check_worst(items, NULL)), "summary",
                           json_from_string(summary), "items", items);
        if (!server)
                return -ENOMEM;
        *ret = TAKE_PTR(server);
        return 0;
}

/* *ret is null where no server was asked. */
static int find_server(const Command *command, const json_t *result, json_t **ret) {
        _cleanup_json_ json_t *spec = json_from_text(command->spec);
        const json_t *told = json_object_get(result, "server");

        if (!json_object_get(spec, "server")) {
                *ret = json_null();
                return 0;
        }
        /* An agent of an earlier version answers another question. */
        return told ? take_server(told, ret) : -EOPNOTSUPP;
}

static int reply_databases(Request *r, uint64_t command_id) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_json_ json_t *result = NULL, *server = NULL;
        json_t *servers, *files, *tools;
        int error;

        error = probe_result(r, command_id, &command, &result);
        if (error < 0)
                return error;
        servers = json_object_get(result, "servers");
        files = json_object_get(result, "sqlite");
        tools = json_object_get(result, "tools");
        if (!json_is_array(servers) || (files && !json_is_array(files)) || (tools && !json_is_object(tools)))
                return request_fail(r, ERROR_PROBE_FAILED, "The node's answer is not a list of servers.");
        error = find_server(&command, result, &server);
        if (error == -EOPNOTSUPP)
                return request_fail(r, ERROR_PROBE_FAILED,
                                    "The agent of this node cannot ask servers: upgrade it.");
        if (error == -EBADMSG)
                return request_fail(r, ERROR_PROBE_FAILED, "The node's answer is not one of a server.");
        if (error < 0)
                return error;
        /* An older agent tells of servers alone. */
        return request_reply(r, MHD_HTTP_OK,
                             json_pack("{s:O, s:o, s:o, s:O, s:b}", "servers", servers, "sqlite",
                                       files ? json_incref(files) : json_array(), "tools",
                                       tools ? json_incref(tools) : json_object(), "server", server,
                                       "incomplete", json_is_true(json_object_get(result, "incomplete"))));
}

static void databases_done(Request *r, int error, uint64_t command_id, const Failure *failure) {
        request_end(r, error < 0 ? request_fail_failure(r, error, failure) : reply_databases(r, command_id));
}

/* --- The question --------------------------------------------------------------------------------- */

/* A server comes with its password, or with the task that has both. */
static void check_question(JsonReader *reader, const DiscoverySpec *spec, bool has_secrets,
                           uint64_t task_id) {
        bool has_server = source_type_has_server(spec->type);

        if (has_secrets && !has_server)
                (void) json_reader_fail(reader, "secrets", "is for 'server' alone");
        if (task_id > 0 && has_server)
                (void) json_reader_fail(reader, "task_id", "and 'server' exclude each other: name one");
}

/* What the dispatcher is told beside the spec. */
static int build_rest(Request *r, const json_t *secrets, uint64_t task_id, json_t **ret) {
        _cleanup_json_ json_t *rest = json_object();
        _cleanup_(freep) char *sealed = NULL;
        int error = 0;

        if (secrets)
                error = secrets_seal(r, secrets, &sealed);
        if (error >= 0 && !isempty(sealed))
                error = json_set(rest, "secrets", json_from_string(sealed));
        if (error >= 0 && task_id > 0)
                error = json_set(rest, "task_id", json_from_u64(task_id));
        if (error < 0)
                return error;
        *ret = TAKE_PTR(rest);
        return *ret ? 0 : -ENOMEM;
}

static int check_task(Request *r, uint64_t task_id) {
        _cleanup_(task_done) Task task = TASK_NULL;
        int error;

        error = task_id > 0 ? task_get(r->api->store, task_id, &task) : 0;
        if (error != STORE_E_NOT_FOUND)
                return error;
        error = request_fail_field(r, ERROR_TASK_NOT_FOUND, "task_id", "There is no task %" PRIu64 ".",
                                   task_id);
        return request_refused(error);
}

static int read_discovery(Request *r, json_t **ret_spec, json_t **ret_rest) {
        _cleanup_(discovery_spec_done) DiscoverySpec spec = DISCOVERY_SPEC_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        const json_t *secrets = NULL;
        uint64_t task_id = 0;
        JsonReader reader;
        int error;

        error = request_body_json_or_none(r, &body);
        secrets_wipe(r);
        if (error < 0)
                return error;
        (void) json_reader_init(&reader, body, &failure);
        error = discovery_spec_read(&reader, &spec);
        if (error < 0)
                return error;
        (void) json_reader_u64(&reader, "task_id", JSON_OPTIONAL, INT64_MAX, &task_id);
        (void) database_secrets_read(&reader, &secrets);
        if (reader.error >= 0)
                check_question(&reader, &spec, secrets != NULL, task_id);
        error = request_check(r, json_reader_finish(&reader), &failure);
        if (error >= 0)
                error = check_task(r, task_id);
        if (error >= 0)
                error = build_rest(r, secrets, task_id, ret_rest);
        return error < 0 ? error : discovery_spec_build(&spec, ret_spec);
}

/* The server of a task, as it is kept: without its password. */
static int task_server(Request *r, uint64_t task_id, json_t **ret) {
        _cleanup_(task_done) Task task = TASK_NULL;
        _cleanup_json_ json_t *source = NULL;
        int error;

        error = task_get(r->api->store, task_id, &task);
        if (error != 0)
                return error < 0 ? error : -ESTALE;
        source = json_from_text(task.source);
        if (!source)
                return -ENOMEM;
        *ret = json_incref(json_object_get(source, "server"));
        return 0;
}

/* Who lets a node log in to a server is put on record before it does, whatever comes of it. What can be seen
 * without a login is not. */
static int note_question(Request *r, const json_t *spec, const json_t *rest) {
        uint64_t task_id = (uint64_t) json_integer_value(json_object_get(rest, "task_id"));
        _cleanup_json_ json_t *detail = json_object(), *server = NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        int error = 0;

        server = json_incref(json_object_get(spec, "server"));
        if (!server && task_id == 0)
                return 0;
        if (task_id > 0) {
                error = task_server(r, task_id, &server);
                if (error >= 0)
                        error = json_set(detail, "task_id", json_from_u64(task_id));
        }
        if (error >= 0 && server)
                error = json_set(detail, "server", json_incref(server));
        if (error < 0)
                return error;
        error = node_get(r->api->store, r->id, &node);
        if (error != 0)
                return error < 0 ? error : -ESTALE;
        return change_audit(r, "node.discover", node.id, node.name, TAKE_PTR(detail));
}

int node_databases(Request *r) {
        _cleanup_json_ json_t *spec = NULL, *rest = NULL;
        int error;

        assert(r);

        error = read_discovery(r, &spec, &rest);
        if (error >= 0)
                error = probe_check_node(r);
        if (error >= 0)
                error = note_question(r, spec, rest);
        if (error < 0)
                return error;
        return probe_ask(r, r->id, command_kind_to_string(COMMAND_DISCOVER_DATABASES), TAKE_PTR(spec),
                         TAKE_PTR(rest), databases_done);
}
