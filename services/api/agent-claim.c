/* SPDX-License-Identifier: Apache-2.0 */

/* The long poll. A claim that finds nothing keeps its connection, suspended, until a command is queued for
 * its node, its time is over, or a newer claim of the same agent comes. */

#include <errno.h>
#include <poll.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "sys/log.h"

#include "services/api/agent-private.h"

static int parse_wait(Request *r, uint32_t *ret) {
        const char *text = request_query(r, "wait");
        int error;

        *ret = 0;
        if (!text)
                return 0;
        if (parse_u32(text, 0, AGENT_WAIT_MAX_SEC, ret) >= 0)
                return 0;
        error = request_fail_field(r, ERROR_QUERY_INVALID, "wait", "'wait' is 0 to %d seconds.",
                                   AGENT_WAIT_MAX_SEC);
        return error < 0 ? error : 1;
}

static int parse_body(Request *r, ClaimBody *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        int error;

        error = request_body_json(r, &json);
        if (error < 0)
                return error;
        error = claim_body_parse(json, ret, &failure);
        return request_check(r, error, &failure);
}

/* Of one agent the newest claim counts: the older connection may be a dead one. */
static void end_older(AgentNode *node) {
        AgentOp *older = node->waiting;

        if (!older)
                return;
        agent_op_reply(older, MHD_HTTP_NO_CONTENT, NULL);
        agent_op_answer(older);
}

/* A claim names no key: it is that of the instance's heartbeats. What is sealed to the pinned one would be
 * lost on another. Positive: answered. */
static int check_key(Request *r, const AgentNode *node, const char *agent_id) {
        int error;

        assert(node);

        if (!streq_ptr(node->refused_id, agent_id))
                return 0;
        error = request_fail(r, ERROR_NODE_KEY_MISMATCH,
                             "This agent has another key than the one that is pinned for its node.");
        return error < 0 ? error : 1;
}

/* Commands of this node that are to be ended, and that it was not told of this way. Those that this process
 * has not seen yet wait for the heartbeat. */
static int list_cancels(Api *api, AgentNode *node, AgentCommand *ret[static AGENT_CANCELS_MAX],
                        size_t *ret_n) {
        uint64_t ids[AGENT_CANCELS_MAX];
        size_t n = 0;
        int r;

        assert(api);
        assert(node);

        *ret_n = 0;
        if (node->n_commands == 0)
                return 0;
        r = queue_cancels(api->store, node->id, ids, AGENT_CANCELS_MAX, &n);
        for (size_t i = 0; i < n && r >= 0; i++) {
                AgentCommand *c = agent_command_find(node, ids[i]);

                if (c && !c->told_cancel)
                        ret[(*ret_n)++] = c;
        }
        return MIN(r, 0);
}

static int has_cancels(Api *api, AgentNode *node) {
        AgentCommand *cancels[AGENT_CANCELS_MAX];
        size_t n;
        int r;

        r = list_cancels(api, node, cancels, &n);
        return r < 0 ? r : n > 0;
}

int agent_claim(Request *r) {
        _cleanup_(claim_body_done) ClaimBody body = {};
        AgentNode *node = NULL;
        uint32_t wait = 0;
        AgentOp *op;
        int error;

        assert(r);

        error = agent_node_of(r, &node);
        if (error == 0)
                error = parse_wait(r, &wait);
        if (error == 0)
                error = parse_body(r, &body);
        if (error == 0)
                error = check_key(r, node, body.agent_id);
        if (error == 0)
                error = agent_check_instance(r, node, body.agent_id);
        if (error != 0)
                return MIN(error, 0);
        end_older(node);
        error = agent_op_new(r, node, AGENT_OP_CLAIM, &op);
        if (error < 0)
                return error;
        op->claim = body;
        body = (ClaimBody){};
        request_forget_body(r);
        op->until = now_usec(CLOCK_MONOTONIC) + wait * USEC_PER_SEC;
        /* Most claims find nothing: they wait without a transaction. What is queued right behind this look
         * rings. */
        error = op->claim.n_unstarted > 0 ? 1 : queue_has_work(r->api->store, node->id);
        if (error == 0)
                error = has_cancels(r->api, node);
        if (error == 0)
                agent_claim_wait(op);
        else
                agents_enqueue(r->api->agents, op, /* urgent= */ true);
        return 0;
}

/* --- In the transaction --------------------------------------------------------------------------- */

/* libmicrohttpd does not notice that the client of a suspended connection went away, and would report the
 * answer to it as sent. The end of the stream is asked for, not the bytes before it: TLS has some, the
 * goodbye of a client among them. */
static bool is_peer_dead(const Request *r) {
        struct pollfd p = { .fd = request_socket(r), .events = POLLRDHUP };

        return poll(&p, 1, 0) > 0;
}

/* A command that cannot be told would come back with every claim: it ends here, and its run says why. */
static int give_up(AgentOp *op, const Command *c, const char *code, const char *why) {
        const CommandRef ref = { .id = c->id, .attempt = c->attempt };
        const CommandEnd end = { .state = COMMAND_FAILED, .error_code = code, .error = why };
        int r;

        assert(op);

        log_struct(LOG_WARNING, NULL,
                   LOG_FIELDS(LOG_COMMAND(c->id), LOG_RUN(c->run_id), LOG_NODE(op->node->id)),
                   "Command %" PRIu64 " is given up: %s", c->id, why);
        r = queue_finish(op->agents->api->store, &ref, op->node->id, &end, now_usec(CLOCK_REALTIME));
        if (r >= 0)
                agent_command_forget(op->node, c->id);
        return MIN(r, 0);
}

/* Whether this very agent, as it speaks now, knows all that a command needs. 1: it does not, and the command
 * ended. */
static int check_needs(AgentOp *op, const Command *c, const json_t *spec) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        int r;

        assert(op);

        if (spec_check_needs_of(spec, op->claim.features, NULL, NULL) >= 0)
                return 0;
        r = node_get(op->agents->api->store, op->node->id, &node);
        if (r < 0)
                return r;
        r = spec_check_needs_of(spec, op->claim.features, node.version, &failure);
        if (r == -ENOMEM)
                return r;
        r = give_up(op, c, failure.code, failure_message(&failure, r));
        return r < 0 ? r : 1;
}

/* Or ends it. */
static int add_command(AgentOp *op, const Command *c, json_t *array) {
        const HeldCommand name = { .command = c->id, .attempt = c->attempt };
        _cleanup_json_ json_t *command = NULL;
        int r;

        assert(op);

        r = command_body_build(&name, command_kind_from_string(c->kind),
                               c->deadline > 0 ? c->deadline : USEC_INFINITY, c->spec, c->secrets, &command);
        if (r == -EBADMSG)
                return give_up(op, c, "SPEC_INVALID",
                               "The master could not read back the command that it had made.");
        if (r >= 0)
                r = check_needs(op, c, json_object_get(command, "spec"));
        if (r == 0)
                r = json_append(array, TAKE_PTR(command));
        return MIN(r, 0);
}

/* None: NULL. */
static int build_cancels(AgentOp *op, json_t **ret) {
        _cleanup_json_ json_t *array = NULL;
        AgentCommand *cancels[AGENT_CANCELS_MAX];
        size_t n;
        int r;

        assert(op);

        r = list_cancels(op->agents->api, op->node, cancels, &n);
        if (r >= 0 && n > 0) {
                array = json_array();
                r = array ? 0 : -ENOMEM;
        }
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = json_append(array, json_from_u64(cancels[i]->id));
                cancels[i]->told_cancel = r >= 0;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return 0;
}

static int build_answer(AgentOp *op, const CommandList *list) {
        _cleanup_json_ json_t *array = json_array(), *data = json_object();
        json_t *cancels = NULL;
        int r;

        assert(op);
        assert(list);

        for (size_t i = 0; i < list->n; i++) {
                r = add_command(op, &list->items[i], array);
                if (r < 0)
                        return r;
        }
        r = build_cancels(op, &cancels);
        if (r >= 0 && json_array_size(array) == 0 && !cancels) {
                op->keeps_waiting = true;
                return 0;
        }
        if (r >= 0 && cancels)
                r = json_set(data, "cancel", cancels);
        if (r >= 0)
                r = json_set(data, "commands", TAKE_PTR(array));
        if (r < 0)
                return r;
        agent_op_reply(op, MHD_HTTP_OK, TAKE_PTR(data));
        return 0;
}

static int copy_refs(const HeldCommand *held, size_t n, CommandRef **ret) {
        CommandRef *refs = new0(CommandRef, n + 1);

        if (!refs)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                refs[i] = (CommandRef){ .id = held[i].command, .attempt = (uint32_t) held[i].attempt };
        *ret = refs;
        return 0;
}

static int claim(AgentOp *op, CommandList *ret) {
        _cleanup_(freep) CommandRef *holding = NULL, *unstarted = NULL;
        QueueClaim claim = {
                .node_id = op->node->id,
                .agent_id = op->claim.agent_id,
                .n_holding = op->claim.n_holding,
                .n_unstarted = op->claim.n_unstarted,
                .capacity = op->claim.capacity,
                .probes = op->claim.probes,
                .now = agents_stamp(op->agents),
                .wall = now_usec(CLOCK_REALTIME),
        };
        int r;

        r = copy_refs(op->claim.holding, op->claim.n_holding, &holding);
        if (r >= 0)
                r = copy_refs(op->claim.unstarted, op->claim.n_unstarted, &unstarted);
        if (r < 0)
                return r;
        claim.holding = holding;
        claim.unstarted = unstarted;
        r = queue_claim(op->agents->api->store, &claim, ret);
        if (r >= 0 && op->claim.n_unstarted > 0) {
                op->rings = true;          /* runs wait again */
                op->claim.n_unstarted = 0; /* once: this claim may wait, and look again */
        }
        return r;
}

int agent_claim_run(AgentOp *op) {
        _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
        int r;

        assert(op);

        if (!op->request)
                return 0;
        if (is_peer_dead(op->request)) {
                agent_op_reply(op, MHD_HTTP_NO_CONTENT, NULL);
                return 0;
        }
        r = claim(op, &list);
        if (r < 0)
                return r;
        if (r == QUEUE_E_EMPTY)
                return build_answer(op, &list);
        for (size_t i = 0; i < list.n; i++) {
                (void) agent_command_note(op->node, list.items[i].id, list.items[i].run_id);
                if (list.items[i].attempt == 1)
                        histogram_add(&op->agents->api->metrics.dispatch,
                                      usec_sub(now_usec(CLOCK_REALTIME), list.items[i].created));
                log_struct(LOG_DEBUG, NULL,
                           LOG_FIELDS(LOG_NODE(op->node->id), LOG_COMMAND(list.items[i].id),
                                      LOG_RUN(list.items[i].run_id), LOG_ATTEMPT(list.items[i].attempt)),
                           "Command %" PRIu64 " (%s) goes to node %" PRIu64, list.items[i].id,
                           list.items[i].kind, op->node->id);
        }
        op->rings = true;
        return build_answer(op, &list);
}

/* --- Waiting -------------------------------------------------------------------------------------- */

void agent_claim_wait(AgentOp *op) {
        int r;

        assert(op);

        op->keeps_waiting = false;
        /* Two claims of one agent in one turn: the later one waits. */
        if (op->request && op->node->waiting)
                end_older(op->node);
        r = op->request && op->until > now_usec(CLOCK_MONOTONIC) ? agent_wait_add(op) : -ETIME;
        if (r >= 0)
                return;
        agent_op_reply(op, MHD_HTTP_NO_CONTENT, NULL);
        agent_op_answer(op);
}

void agent_claim_wake(AgentNode *node) {
        AgentOp *op = node->waiting;

        if (!op)
                return;
        agent_wait_remove(op);
        agents_enqueue(op->agents, op, /* urgent= */ true);
}
