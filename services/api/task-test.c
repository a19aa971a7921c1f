/* SPDX-License-Identifier: Apache-2.0 */

/* Tests of a task: one that is there, one that is being written, or one with changes that are not kept yet.
 * Nothing of it is stored; who asked is. */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/check.h"
#include "wire/command.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/probe.h"
#include "services/api/secrets.h"

#define NODES_AT_ONCE 100U
/* What a task that is being written is called, until it has a name. */
#define NAMELESS "new"

typedef struct TaskTest {
        Task task;
        uint64_t node_id; /* 0: as the task says */
        char *sealed;     /* what was entered; NULL: nothing was, "": that there is none */
} TaskTest;

static void task_test_done(TaskTest *t) {
        task_done(&t->task);
        free(t->sealed);
}

/* --- The question --------------------------------------------------------------------------------- */

/* What is not written yet is no mistake: a name, targets. */
static int read_task(Request *r, const json_t *json, TaskTest *t) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const json_t *secrets = NULL;
        bool no_targets = t->task.n_targets == 0;
        int error;

        if (!t->task.name) {
                t->task.name = strdup(NAMELESS);
                if (!t->task.name)
                        return -ENOMEM;
        }
        if (no_targets)
                t->task.target_ids[t->task.n_targets++] = 0;
        error = request_check(r, task_from_json(json, &t->task, &secrets, &failure), &failure);
        if (error >= 0 && no_targets && t->task.target_ids[0] == 0)
                t->task.n_targets = 0;
        if (error >= 0 && secrets)
                error = secrets_seal(r, secrets, &t->sealed);
        return error < 0 ? error : task_check_relays(r, &t->task);
}

static int start_task(Request *r, uint64_t task_id, Task *ret) {
        int error;

        if (task_id == 0)
                return task_init(ret);
        error = task_get(r->api->store, task_id, ret);
        if (error != STORE_E_NOT_FOUND)
                return error;
        error = request_fail_field(r, ERROR_TASK_NOT_FOUND, "task_id", "There is no task %" PRIu64 ".",
                                   task_id);
        return request_refused(error);
}

static int read_question(Request *r, TaskTest *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        const json_t *task = NULL;
        uint64_t task_id = 0;
        JsonReader reader;
        int error;

        error = request_body_json(r, &body);
        secrets_wipe(r);
        if (error < 0)
                return error;
        (void) json_reader_init(&reader, body, &failure);
        (void) json_reader_u64(&reader, "task_id", JSON_OPTIONAL, INT64_MAX, &task_id);
        (void) json_reader_u64(&reader, "node_id", JSON_OPTIONAL, INT64_MAX, &ret->node_id);
        (void) json_reader_value(&reader, "task", task_id > 0 ? JSON_OPTIONAL : JSON_REQUIRED, &task);
        if (task && !json_is_object(task))
                (void) json_reader_fail(&reader, "task", "has to be an object");
        error = request_check(r, json_reader_finish(&reader), &failure);
        if (error >= 0)
                error = start_task(r, task_id, &ret->task);
        return error < 0 || !task ? error : read_task(r, task, ret);
}

/* --- Where ---------------------------------------------------------------------------------------- */

/* The first one that is online: where a run would go to depends on what the others have to do. */
static int find_in_pool(Request *r, const char *label, uint64_t *ret) {
        uint64_t after = 0;
        int error;

        for (;;) {
                _cleanup_(node_list_done) NodeList nodes = NODE_LIST_NULL;

                error = nodes_list(r->api->store, after, NODES_AT_ONCE, &nodes);
                if (error < 0)
                        return error;
                for (size_t i = 0; i < nodes.n; i++) {
                        after = nodes.items[i].id;
                        if (nodes.items[i].state == NODE_ONLINE && node_has_label(nodes.items + i, label)) {
                                *ret = after;
                                return 0;
                        }
                }
                if (nodes.n < NODES_AT_ONCE)
                        break;
        }
        error = request_fail(r, ERROR_NODE_OFFLINE, "No node with the label '%s' is online.", label);
        return request_refused(error);
}

/* A node that a run of the task could go to, and no other: it gets the task's secrets. */
static int choose_node(Request *r, const TaskTest *t, uint64_t *ret) {
        _cleanup_(node_done) Node node = NODE_NULL;
        const Task *task = &t->task;
        int error;

        if (t->node_id == 0 && task->node_label)
                return find_in_pool(r, task->node_label, ret);
        *ret = t->node_id > 0 ? t->node_id : task->node_id;
        if (!task->node_label && *ret == task->node_id)
                return 0;
        error = task->node_label ? node_get(r->api->store, *ret, &node) : 0;
        if (error < 0)
                return error;
        if (error == 0 && task->node_label && node_has_label(&node, task->node_label))
                return 0;
        return request_refused(request_fail_field(r, ERROR_FIELD_INVALID, "node_id",
                                                  "The task does not run on the node %" PRIu64 ".", *ret));
}

/* --- The order ------------------------------------------------------------------------------------ */

static json_t *build_spec(const Task *task) {
        _cleanup_json_ json_t *spec = json_object(), *options = json_from_text(task->options);
        json_t *hooks = json_object_get(options, "hooks");

        if (json_set(spec, "type", json_from_string(task->type)) < 0 ||
            json_set(spec, "source", json_from_text(task->source)) < 0 ||
            json_set(spec, "hooks", hooks ? json_incref(hooks) : json_null()) < 0)
                return NULL;
        return TAKE_PTR(spec);
}

static json_t *build_rest(const TaskTest *t) {
        _cleanup_json_ json_t *rest = json_object();
        const Task *task = &t->task;
        json_t *ids = json_array();
        bool has_server = source_type_has_dumps(source_type_from_string(task->type));

        if (json_set(rest, "target_ids", ids) < 0)
                return NULL;
        for (size_t i = 0; i < task->n_targets; i++)
                if (json_append(ids, json_from_u64(task->target_ids[i])) < 0)
                        return NULL;
        if (!isempty(t->sealed) && json_set(rest, "secrets", json_from_string(t->sealed)) < 0)
                return NULL;
        if (!t->sealed && has_server && task->has_secrets &&
            json_set(rest, "task_id", json_from_u64(task->id)) < 0)
                return NULL;
        return TAKE_PTR(rest);
}

/* A test logs in to servers, and writes to targets: who asks for one is put on record, whatever comes of it.
 * A task that is being written has no number yet. */
static int note_test(Request *r, const Task *task, uint64_t node_id) {
        _cleanup_json_ json_t *detail = json_object(), *source = json_from_text(task->source);
        json_t *server = json_object_get(source, "server");
        int error;

        error = json_set(detail, "node_id", json_from_u64(node_id));
        if (error >= 0)
                error = json_set(detail, "type", json_from_string(task->type));
        if (error >= 0 && server)
                error = json_set(detail, "server", json_incref(server));
        return error < 0 ? error : change_audit(r, "task.test", task->id, task->name, TAKE_PTR(detail));
}

/* --- The answer ----------------------------------------------------------------------------------- */

static int reply_test(Request *r, uint64_t command_id) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_json_ json_t *result = NULL, *report = NULL;
        _cleanup_(freep) char *summary = NULL;
        CheckState state;
        json_t *items;
        int error;

        error = probe_result(r, command_id, &command, &result);
        if (error < 0)
                return error;
        error = check_report_parse(result, &report, NULL);
        if (error == -EBADMSG)
                return request_fail(r, ERROR_PROBE_FAILED, "The node's answer is not a report.");
        items = json_object_get(report, "items");
        if (error >= 0)
                error = check_summary(items, &summary);
        if (error < 0)
                return error;
        state = check_worst(items, NULL);
        return request_reply(r, MHD_HTTP_OK,
                             json_pack("{s:b, s:s, s:o, s:o, s:O}", "ok", (int) (state != CHECK_STATE_ERROR),
                                       "state", check_state_to_string(state), "summary",
                                       json_from_string(summary), "node_id", json_from_u64(command.node_id),
                                       "items", items));
}

static void test_done(Request *r, int error, uint64_t command_id, const Failure *failure) {
        request_end(r, error < 0 ? request_fail_failure(r, error, failure) : reply_test(r, command_id));
}

/* Whether a run of the task would find what it needs. */
int task_test(Request *r) {
        _cleanup_(task_test_done) TaskTest t = { .task = TASK_NULL };
        _cleanup_json_ json_t *spec = NULL, *rest = NULL;
        uint64_t node_id = 0;
        int error;

        assert(r);

        error = read_question(r, &t);
        if (error >= 0)
                error = choose_node(r, &t, &node_id);
        if (error >= 0)
                error = note_test(r, &t.task, node_id);
        if (error < 0)
                return error;
        spec = build_spec(&t.task);
        rest = build_rest(&t);
        if (!spec || !rest)
                return -ENOMEM;
        return probe_ask(r, node_id, command_kind_to_string(COMMAND_TEST_TASK), TAKE_PTR(spec),
                         TAKE_PTR(rest), test_done);
}
