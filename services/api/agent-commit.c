/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "sys/bus.h"
#include "sys/event.h"
#include "sys/log.h"

#include "services/api/agent-private.h"
#include "services/api/sibling-bus.h"
#include "services/api/sibling.h"

/* After a gap in our own ticks of this length nobody listened, whatever the reason: a stopped process, a
 * machine that slept. Agents' silence counts anew. */
#define TICK_GAP_USEC API_STAMP_FRESH_USEC

#define NODES_PER_LOOK 256
#define SIGNALS_PER_TURN 256U

/* --- Operations ----------------------------------------------------------------------------------- */

/* The request ends without us: the server stops, or the connection is gone. */
static void on_request_cancelled(Request *r, void *userdata) {
        AgentOp *op = ASSERT_PTR(userdata);

        op->request = NULL;
        if (op->wait_link)
                agent_op_free(op);
}

int agent_op_new(Request *r, AgentNode *node, AgentOpKind kind, AgentOp **ret) {
        AgentOp *op;

        assert(r);
        assert(ret);

        op = new0(AgentOp, 1);
        if (!op)
                return -ENOMEM;
        op->agents = r->api->agents;
        op->kind = kind;
        op->request = r;
        op->node = node;
        op->node_id = node ? node->id : 0;
        op->ref.id = r->id;
        request_suspend(r, on_request_cancelled, op);
        *ret = op;
        return 0;
}

static void body_done(AgentOp *op) {
        switch (op->kind) {
        case AGENT_OP_CLAIM:
                claim_body_done(&op->claim);
                break;
        case AGENT_OP_ACCEPT:
                break;
        case AGENT_OP_PROGRESS:
                progress_body_done(&op->progress);
                break;
        case AGENT_OP_RESULT:
                result_body_done(&op->result);
                break;
        case AGENT_OP_ENROLL:
                enroll_body_done(&op->enroll);
                break;
        }
}

AgentOp *agent_op_free(AgentOp *op) {
        if (!op)
                return NULL;
        agent_wait_remove(op);
        body_done(op);
        json_decref(op->data);
        return mfree(op);
}

void agents_enqueue(Agents *agents, AgentOp *op, bool urgent) {
        int r;

        assert(agents);
        assert(op);

        op->next = NULL;
        *agents->ops_end = op;
        agents->ops_end = &op->next;
        if (!urgent)
                return;
        r = sd_event_source_set_enabled(agents->turn, SD_EVENT_ONESHOT);
        if (r < 0) /* the tick comes, too */
                log_warning_errno(r, "Failed to end the turn of the agents, ignoring: %m");
}

void agent_op_reply(AgentOp *op, unsigned status, json_t *data) {
        assert(op);

        json_decref(op->data);
        op->status = status;
        op->data = data;
}

void agent_op_fail(AgentOp *op, ApiError error, const char *message) {
        assert(op);
        assert(message);

        op->status = 0;
        op->error = error;
        op->message = message;
}

static int give_answer(AgentOp *op) {
        Request *r = op->request;

        op->request = NULL;
        r->cancel = NULL;
        if (op->status == 0 && (op->error == ERROR_BUSY || op->error == ERROR_UNAVAILABLE))
                return request_fail_later(r, op->error, USEC_PER_SEC, "%s", op->message);
        if (op->status == 0)
                return request_fail(r, op->error, "%s", op->message);
        if (op->status == MHD_HTTP_NO_CONTENT)
                return request_reply_no_content(r);
        return request_reply(r, op->status, op->data ? TAKE_PTR(op->data) : json_object());
}

void agent_op_answer(AgentOp *op) {
        Request *r = op->request;

        agent_wait_remove(op);
        if (r)
                request_end(r, give_answer(op));
        agent_op_free(op);
}

/* --- The transaction ------------------------------------------------------------------------------ */

static int run_op(AgentOp *op) {
        assert(op);

        switch (op->kind) {
        case AGENT_OP_CLAIM:
                return agent_claim_run(op);
        case AGENT_OP_ACCEPT:
                return agent_accept_run(op);
        case AGENT_OP_PROGRESS:
                return agent_progress_run(op);
        case AGENT_OP_RESULT:
                return agent_result_run(op);
        case AGENT_OP_ENROLL:
                return agent_enroll_run(op);
        }
        return -EINVAL;
}

/* One operation in a savepoint of its own: its failure is its own, too. */
static void run_in_savepoint(AgentOp *op) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        assert(op);

        r = store_begin(op->agents->api->store, &tx);
        if (r >= 0)
                r = run_op(op);
        if (r >= 0)
                r = store_commit(&tx);
        if (r < 0) {
                log_error_errno(r, "Failed to store what an agent said: %m");
                agent_op_fail(op, api_error_from_errno(r), "The server could not store this. Try again.");
                op->keeps_waiting = op->rings = false;
        }
}

/* All or nothing; 0 when it is on disk. */
static int write_all(Agents *agents, AgentOp *ops, bool with_contacts) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        assert(agents);

        r = store_begin(agents->api->store, &tx);
        if (r < 0)
                return r;
        if (with_contacts) {
                r = agents_write_contacts(agents);
                if (r < 0)
                        return r;
        }
        for (AgentOp *op = ops; op; op = op->next)
                run_in_savepoint(op);
        return store_commit(&tx);
}

static void finish_ops(AgentOp *ops, int error, bool *ret_rings) {
        while (ops) {
                AgentOp *op = ops;

                ops = op->next;
                if (error < 0) {
                        op->keeps_waiting = op->rings = false;
                        agent_op_fail(op, ERROR_BUSY, "The server could not store this. Try again.");
                }
                *ret_rings = *ret_rings || op->rings;
                if (op->keeps_waiting)
                        agent_claim_wait(op);
                else
                        agent_op_answer(op);
        }
}

void agents_commit(Agents *agents, bool with_contacts) {
        AgentOp *ops = agents->ops;
        bool rings = false;
        int r;

        assert(agents);

        if (!ops && !with_contacts)
                return;
        agents->ops = NULL;
        agents->ops_end = &agents->ops;
        r = write_all(agents, ops, with_contacts);
        if (r < 0)
                log_error_errno(r, "Failed to write what agents said: %m");
        finish_ops(ops, r, &rings);
        if (with_contacts)
                agents_contacts_done(agents, r >= 0);
        if (rings)
                sibling_kick(agents->api);
}

static int on_turn(sd_event_source *s, void *userdata) {
        Agents *agents = ASSERT_PTR(userdata);

        /* While many runs begin the dispatcher has the store most of the time: a commit for each claim that
         * it wakes would wait for it as often. */
        bus_peer_drain(siblings_dispatcher(agents->api->siblings), SIGNALS_PER_TURN);
        agents_commit(agents, /* with_contacts= */ false);
        server_run_woken(agents->api->server);
        return 0;
}

/* --- The tick ------------------------------------------------------------------------------------- */

/* The bell may not have rung: whatever another process wrote, look who has something to do. */
static void look_for_work(Agents *agents) {
        uint64_t version, after = 0, ids[NODES_PER_LOOK];
        size_t n = 0;
        int r;

        assert(agents);

        if (agents->waiting == 0)
                return;
        r = store_data_version(agents->api->store, &version);
        if (r < 0 || version == agents->data_version)
                return;
        agents->data_version = version;
        do {
                r = queue_nodes_waiting(agents->api->store, after, ids, NODES_PER_LOOK, &n);
                if (r < 0) {
                        log_warning_errno(r, "Failed to look for waiting commands, ignoring: %m");
                        return;
                }
                for (size_t i = 0; i < n; i++) {
                        AgentNode *node = agents_find(agents, ids[i]);

                        if (node && node->waiting)
                                agent_claim_wake(node);
                        after = ids[i];
                }
        } while (n == NODES_PER_LOOK);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Agents *agents = ASSERT_PTR(userdata);
        usec_t now = now_usec(CLOCK_MONOTONIC);
        int r;

        if (agents->ticked > 0 && usec_sub(now, agents->ticked) > TICK_GAP_USEC)
                agents->listening_since = now;
        agents->ticked = now;
        look_for_work(agents);
        agents->ticks++;
        agents_commit(agents, /* with_contacts= */ true);
        r = event_rearm(agents->tick, AGENT_TICK_USEC);
        return r < 0 ? log_error_errno(r, "Failed to set the timer of the agents: %m") : 0;
}

int agents_commit_start(Agents *agents) {
        sd_event *event = agents->api->event;
        int r;

        r = sd_event_add_defer(event, &agents->turn, on_turn, agents);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(agents->turn, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = event_add_timer(event, &agents->tick, AGENT_TICK_USEC, on_tick, agents);
        if (r < 0)
                return r;
        agents->ticked = now_usec(CLOCK_MONOTONIC);
        /* The first stamp at once: what the last process left may be of another boot. */
        agents_commit(agents, /* with_contacts= */ true);
        return 0;
}
