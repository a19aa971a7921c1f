/* SPDX-License-Identifier: Apache-2.0 */

/* The ends of long polls: a wheel of slots, so that thousands that wait cost one timer, and those whose time
 * is over at about the same moment are answered together. libmicrohttpd walks the suspended connections of a
 * shard whenever one of them was resumed (server.h), so a slot ends waits of one shard only. */

#include "sys/event.h"
#include "sys/log.h"

#include "services/api/agent-private.h"

static_assert((AGENT_WAIT_SLOTS - SERVER_SHARDS) * AGENT_WAIT_SLOT_USEC >
                              (AGENT_WAIT_MAX_SEC + 1) * USEC_PER_SEC,
              "the longest wait has to fit into one turn of the wheel");

static uint64_t slot_of(usec_t t) {
        return t / AGENT_WAIT_SLOT_USEC;
}

static void end_slot(Agents *agents, uint64_t slot) {
        AgentOp **head = &agents->waits[slot % AGENT_WAIT_SLOTS];

        while (*head) {
                AgentOp *op = *head;

                agent_op_reply(op, MHD_HTTP_NO_CONTENT, NULL);
                agent_op_answer(op); /* takes it out of the list */
        }
}

static int on_wheel(sd_event_source *s, uint64_t usec, void *userdata) {
        Agents *agents = ASSERT_PTR(userdata);
        uint64_t now = slot_of(now_usec(CLOCK_MONOTONIC));

        /* After a stop of the process every slot is due, once. */
        for (unsigned i = 0; i < AGENT_WAIT_SLOTS && agents->wheel_at < now; i++)
                end_slot(agents, agents->wheel_at++);
        agents->wheel_at = now;
        return event_rearm(agents->wheel, agents->waiting > 0 ? AGENT_WAIT_SLOT_USEC : USEC_INFINITY);
}

int agent_wait_start(Agents *agents) {
        assert(agents);

        agents->wheel_at = slot_of(now_usec(CLOCK_MONOTONIC));
        return event_add_timer(agents->api->event, &agents->wheel, USEC_INFINITY, on_wheel, agents);
}

int agent_wait_add(AgentOp *op) {
        uint64_t slot, shard;
        AgentOp **head;
        Agents *agents;

        assert(op);
        assert(!op->wait_link);

        agents = op->agents;
        if (agents->waiting == 0) {
                int r;

                agents->wheel_at = slot_of(now_usec(CLOCK_MONOTONIC));
                r = event_rearm(agents->wheel, AGENT_WAIT_SLOT_USEC);
                if (r < 0)
                        return r;
        }
        /* The end of the slot that its time is in, or of a later one that ends waits of the same shard of
         * connections: never early. */
        slot = slot_of(op->until);
        shard = conn_shard(op->request->conn);
        slot += (shard + SERVER_SHARDS - slot % SERVER_SHARDS) % SERVER_SHARDS;
        head = &agents->waits[slot % AGENT_WAIT_SLOTS];
        op->wait_next = *head;
        if (op->wait_next)
                op->wait_next->wait_link = &op->wait_next;
        op->wait_link = head;
        *head = op;
        op->node->waiting = op;
        agents->waiting++;
        return 0;
}

void agent_wait_remove(AgentOp *op) {
        assert(op);

        if (!op->wait_link)
                return;
        *op->wait_link = op->wait_next;
        if (op->wait_next)
                op->wait_next->wait_link = op->wait_link;
        op->wait_next = NULL;
        op->wait_link = NULL;
        op->node->waiting = NULL;
        op->agents->waiting--;
}
