/* SPDX-License-Identifier: Apache-2.0 */

/* A new agent: its one-time token becomes a lasting one, and its key is pinned. The dispatcher alone writes
 * pinned keys (we could put our own there otherwise), so it is asked first; then token and enrolment are
 * written in one transaction. */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/age.h"
#include "crypto/token.h"
#include "store/audit.h"
#include "store/enrollment.h"
#include "sys/log.h"
#include "wire/names.h"

#include "services/api/agent-private.h"

static int parse_body(Request *r, EnrollBody *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        AgeRecipient key;
        int error;

        assert(ret);

        error = request_body_json(r, &json);
        if (error < 0)
                return error;
        error = enroll_body_parse(json, ret, &failure);
        if (error >= 0 && age_recipient_parse(ret->public_key, &key) < 0)
                error = failure_set_field(&failure, -EBADMSG, "FIELD_INVALID", "public_key",
                                          "Field 'public_key' has to be an age recipient (age1…)");
        return request_check(r, error, &failure);
}

static const char *refusal(int outcome) {
        switch (outcome) {
        case ENROLLMENT_E_EXPIRED:
                return "This install link has expired: make a new one for the node.";
        case ENROLLMENT_E_USED:
                return "This install link was used before: make a new one for the node.";
        default:
                return "This install link is not known: make a new one for the node.";
        }
}

static ApiError refusal_code(int outcome) {
        return outcome == ENROLLMENT_E_USED ? ERROR_ENROLLMENT_USED : ERROR_ENROLLMENT_INVALID;
}

/* Positive: the request was answered. */
static int find_node(Request *r, const char *token, uint64_t *ret) {
        uint8_t hash[TOKEN_HASH_SIZE];
        int error = STORE_E_NOT_FOUND;

        assert(r);

        if (token_is_valid(token, TOKEN_ENROLLMENT)) {
                error = token_hash(token, hash);
                if (error < 0)
                        return error;
                error = enrollment_find(r->api->store, hash, now_usec(CLOCK_REALTIME), ret);
        }
        if (error <= 0)
                return error;
        error = request_fail(r, refusal_code(error), "%s", refusal(error));
        return error < 0 ? error : 1;
}

static void on_pinned(int result, void *userdata) {
        AgentOp *op = ASSERT_PTR(userdata);

        if (result > 0) {
                agents_enqueue(op->agents, op, /* urgent= */ true);
                return;
        }
        if (result == 0)
                agent_op_fail(op, ERROR_NODE_KEY_MISMATCH,
                              "Another key is pinned for this node. Reset its identity, or make a new "
                              "install link for it.");
        else
                agent_op_fail(op, ERROR_UNAVAILABLE,
                              "The dispatcher is away. Try again.");
        agent_op_answer(op);
}

int agent_enroll(Request *r) {
        _cleanup_(enroll_body_done) EnrollBody body = {};
        uint64_t node_id = 0;
        AgentOp *op;
        int error;

        assert(r);

        error = parse_body(r, &body);
        if (error == 0)
                error = find_node(r, body.token, &node_id);
        if (error != 0)
                return MIN(error, 0);
        error = agent_op_new(r, /* node= */ NULL, AGENT_OP_ENROLL, &op);
        if (error < 0)
                return error;
        op->node_id = node_id;
        op->enroll = body;
        body = (EnrollBody){};
        error = agent_bus_pin(r->api->agents, node_id, op->enroll.public_key, on_pinned, op);
        if (error < 0)
                on_pinned(error, op);
        return 0;
}

/* --- In the transaction --------------------------------------------------------------------------- */

static int add_audit(AgentOp *op, const Node *node) {
        assert(op);
        assert(node);

        return audit_add(op->agents->api->store,
                         &(const AuditEntry){
                                         .at = now_usec(CLOCK_REALTIME),
                                         .username = (char *) "agent",
                                         .address = op->request ? op->request->address : NULL,
                                         .action = (char *) "node.enroll",
                                         .object_type = (char *) "node",
                                         .object_id = node->id,
                                         .object_name = node->name,
                         });
}

static json_t *build_answer(const Node *node, const char *token) {
        return json_pack("{s:{s:I,s:s},s:s}", "node", "id", (json_int_t) node->id, "name", node->name,
                         "token", token);
}

/* The machine behind the node is a new one: what was known of the old one no longer keeps it out. */
static void forget_instance(Agents *agents, uint64_t node_id) {
        AgentNode *node = agents_find(agents, node_id);

        if (!node)
                return;
        if (node->waiting) { /* its token is worth nothing any more */
                agent_op_reply(node->waiting, MHD_HTTP_NO_CONTENT, NULL);
                agent_op_answer(node->waiting);
        }
        node->agent_id = mfree(node->agent_id);
        node->duplicate = mfree(node->duplicate);
        node->announce = true;
}

int agent_enroll_run(AgentOp *op) {
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        Store *store = op->agents->api->store;
        usec_t now = now_usec(CLOCK_REALTIME);
        uint8_t hash[TOKEN_HASH_SIZE];
        int r;

        r = token_hash(op->enroll.token, hash);
        if (r < 0)
                return r;
        r = enrollment_use(store, hash, op->enroll.public_key, now, &op->node_id);
        if (r > 0) {
                agent_op_fail(op, refusal_code(r), refusal(r));
                return 0;
        }
        if (r == 0)
                r = token_new_hashed(TOKEN_NODE, &token, hash);
        /* What the node had before ends now: the link was made because that is not trusted or gone. */
        if (r == 0)
                r = node_token_add(store, op->node_id, hash, /* sealed= */ NULL, now,
                                   /* replace_now= */ true);
        if (r == 0)
                r = node_get(store, op->node_id, &node);
        if (r == 0)
                r = add_audit(op, &node);
        if (r != 0)
                return r < 0 ? r : -ENOENT;
        forget_instance(op->agents, node.id);
        log_struct(LOG_NOTICE, MESSAGE_NODE_ENROLLED, LOG_FIELDS(LOG_NODE(node.id)),
                   "Node %s was enrolled from %s", node.name,
                   op->request ? op->request->address : "a vanished client");
        agent_op_reply(op, MHD_HTTP_CREATED, build_answer(&node, token));
        return op->data ? 0 : -ENOMEM;
}
