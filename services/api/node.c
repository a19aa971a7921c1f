/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "crypto/token.h"
#include "store/node-token.h"
#include "wire/entity.h"

#include "services/api/agent.h"
#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/node-check.h"
#include "services/api/page.h"
#include "services/api/sibling.h"

/* Tasks in one refusal, for programs; whoever has more reads tasks?node_id=. */
#define TASKS_LISTED_MAX 200U
/* Of them in its sentence. */
#define TASKS_NAMED_MAX 5U

/* {"tasks":[{"id","name"},…],"more":bool} */
static json_t *show_users(const TaskList *tasks) {
        _cleanup_json_ json_t *array = json_array(), *users = json_object();

        for (size_t i = 0; i < MIN(tasks->n, TASKS_LISTED_MAX); i++) {
                const Task *t = &tasks->items[i];
                json_t *task = json_pack("{s:I, s:o}", "id", (json_int_t) t->id, "name",
                                         json_from_string(t->name));

                if (json_append(array, task) < 0)
                        return NULL;
        }
        if (json_set(users, "tasks", TAKE_PTR(array)) < 0 ||
            json_set(users, "more", json_boolean(tasks->n > TASKS_LISTED_MAX)) < 0)
                return NULL;
        return TAKE_PTR(users);
}

static int fail_in_use(Request *r, const Node *node) {
        _cleanup_(task_list_done) TaskList tasks = TASK_LIST_NULL;
        _cleanup_(buffer_done) Buffer names = BUFFER_NULL;
        int error;

        assert(r);
        assert(node);

        error = tasks_list_of_node(r->api->store, node->id, 0, TASKS_LISTED_MAX + 1, &tasks);
        for (size_t i = 0; i < MIN(tasks.n, TASKS_NAMED_MAX) && error >= 0; i++)
                error = buffer_printf(&names, "%s%s", i > 0 ? ", " : "", tasks.items[i].name);
        if (error >= 0 && tasks.n > TASKS_NAMED_MAX)
                error = buffer_add_string(&names, " and others");
        if (error < 0)
                return error;
        if (tasks.n == 0)
                return request_fail(r, ERROR_NODE_IN_USE,
                                    "Runs of the node %s have not ended: cancel them first, or wait.",
                                    node->name);
        return request_fail_with(r, ERROR_NODE_IN_USE, show_users(&tasks),
                                 "Tasks use the node %s: %s. Give them another node, or delete them first.",
                                 node->name, names.data);
}

int node_fail(Request *r, int outcome, const Node *node) {
        assert(r);
        assert(node);

        switch (outcome) {
        case STORE_E_NOT_FOUND:
                return request_fail(r, ERROR_NODE_NOT_FOUND, "There is no node %" PRIu64 ".", r->id);
        case STORE_E_EXISTS:
                return request_fail_field(r, ERROR_NODE_EXISTS, "name", "There is a node %s already.",
                                          node->name);
        case STORE_E_IN_USE:
                return fail_in_use(r, node);
        case NODE_E_LOCAL:
                return request_fail(r, ERROR_NODE_IS_LOCAL,
                                    "The master's own node cannot be renamed or deleted.");
        default:
                return outcome < 0 ? outcome : -EINVAL;
        }
}

/* With what it has to do. */
static json_t *show_node(Request *r, const Node *node) {
        _cleanup_(node_queue_done) NodeQueue queue = NODE_QUEUE_NULL;
        _cleanup_json_ json_t *json = node_to_json(node);

        if (node_queue_get(r->api->store, node->id, &queue) < 0 ||
            json_set(json, "queue", node_queue_to_json(&queue, now_usec(CLOCK_REALTIME))) < 0)
                return NULL;
        return TAKE_PTR(json);
}

int nodes_get(Request *r) {
        _cleanup_(node_list_done) NodeList list = NODE_LIST_NULL;
        _cleanup_(page_done) Page page = PAGE_NULL;
        int error;

        assert(r);

        error = page_from_request(r, &page);
        if (error < 0)
                return error;
        error = nodes_list(r->api->store, page.cursor, page_rows(&page), &list);
        if (error < 0)
                return error;
        for (size_t i = 0; i < list.n; i++)
                page_add(&page, list.items[i].id, show_node(r, &list.items[i]));
        return page_reply(r, &page);
}

static int reply_node(Request *r, unsigned status, uint64_t id, const char *token) {
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_json_ json_t *data = NULL;
        json_t *check = NULL;
        int error;

        assert(r);

        error = node_get(r->api->store, id, &node);
        if (error != 0)
                return node_fail(r, error, &node);
        data = show_node(r, &node);
        error = node_check_to_json(r->api, id, &check);
        if (error >= 0)
                error = json_set(data, "last_check", check);
        if (error < 0)
                return error;
        if (!data || (token && json_set(data, "token", json_from_string(token)) < 0))
                return -ENOMEM;
        return request_reply(r, status, TAKE_PTR(data));
}

int node_get_one(Request *r) {
        return reply_node(r, MHD_HTTP_OK, r->id, NULL);
}

static int read_node(Request *r, Node *node) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        int error;

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        return request_check(r, node_from_json(body, node, &failure), &failure);
}

/* --- New ones ------------------------------------------------------------------------------------- */

static bool has_limits(const NodeLimits *l) {
        return l->jobs > 0 || l->bandwidth > 0 || l->cpu_weight > 0 || l->io_weight > 0;
}

static int add(Request *r, Node *node, const uint8_t hash[static TOKEN_HASH_SIZE]) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        usec_t now = now_usec(CLOCK_REALTIME);
        int error;

        assert(r);
        assert(node);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = node_add(r->api->store, node->name, node->description, now, &node->id);
        if (error == 0 && (node->labels || !node->enabled || has_limits(&node->limits)))
                error = node_update(r->api->store, node);
        if (error != 0)
                return error;
        error = node_token_add(r->api->store, node->id, hash, /* sealed= */ NULL, now,
                               /* replace_now= */ false);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "node.create", node->id, node->name, NULL);
}

int nodes_post(Request *r) {
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_(node_done) Node node = { .enabled = true };
        uint8_t hash[TOKEN_HASH_SIZE];
        int error;

        error = read_node(r, &node);
        if (error < 0)
                return error;
        error = token_new_hashed(TOKEN_NODE, &token, hash);
        if (error >= 0)
                error = add(r, &node, hash);
        if (error != 0)
                return node_fail(r, error, &node);
        change_tell(r, "node", node.id, "created");
        return reply_node(r, MHD_HTTP_CREATED, node.id, token);
}

/* --- Changes -------------------------------------------------------------------------------------- */

static int update(Request *r, const Node *node, bool was_enabled) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(node);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = node_update(r->api->store, node);
        if (error != 0)
                return error;
        if (node->enabled != was_enabled) {
                error = change_audit(r, node->enabled ? "node.enable" : "node.disable", node->id, node->name,
                                     NULL);
                if (error < 0)
                        return error;
        }
        return change_commit(r, &tx, "node.update", node->id, node->name, NULL);
}

int node_put(Request *r) {
        _cleanup_(node_done) Node node = NODE_NULL;
        bool was_enabled;
        int error;

        assert(r);

        error = node_get(r->api->store, r->id, &node);
        if (error != 0)
                return node_fail(r, error, &node);
        was_enabled = node.enabled;
        error = read_node(r, &node);
        if (error < 0)
                return error;
        error = update(r, &node, was_enabled);
        if (error != 0)
                return node_fail(r, error, &node);
        if (!node.enabled)
                agents_dismiss(r->api->agents, node.id);
        change_tell(r, "node", node.id, "updated");
        return reply_node(r, MHD_HTTP_OK, node.id, NULL);
}

int node_remove(Request *r) {
        _cleanup_(node_done) Node node = NODE_NULL;
        int error;

        assert(r);

        error = node_get(r->api->store, r->id, &node);
        if (error == 0)
                error = change_delete(r, node_delete, "node.delete", node.id, node.name);
        if (error != 0)
                return node_fail(r, error, &node);
        agents_dismiss(r->api->agents, node.id);
        change_tell(r, "node", node.id, "deleted");
        return request_reply(r, MHD_HTTP_OK, json_object());
}

/* --- Draining ------------------------------------------------------------------------------------- */

static void drain_done(Request *r, int error, uint64_t id, const Failure *failure) {
        if (error < 0)
                request_end(r, request_fail_failure(r, error, failure));
        else
                request_end(r, reply_node(r, MHD_HTTP_OK, r->id, NULL));
}

static int drain(Request *r, bool draining) {
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_json_ json_t *by = NULL;
        _cleanup_(freep) char *text = NULL;
        int error;

        assert(r);

        error = request_body_none(r);
        if (error < 0)
                return error;
        error = node_get(r->api->store, r->id, &node);
        if (error != 0)
                return node_fail(r, error, &node);
        by = change_by(r);
        error = by ? json_format(by, &text, NULL) : -ENOMEM;
        return error < 0 ? error : sibling_drain(r, node.id, draining, text, drain_done);
}

/* What runs there ends in peace, and nothing new begins. */
int node_drain(Request *r) {
        return drain(r, true);
}

int node_undrain(Request *r) {
        return drain(r, false);
}
