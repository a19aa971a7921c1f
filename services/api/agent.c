/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/names.h"

#include "services/api/agent-private.h"

/* --- The table of nodes --------------------------------------------------------------------------- */

static AgentNode *agent_node_free(AgentNode *node) {
        if (!node)
                return NULL;
        free(node->agent_id);
        free(node->duplicate);
        heartbeat_body_done(&node->heartbeat);
        free(node->refused_key);
        free(node->refused_id);
        free(node->commands);
        return mfree(node);
}

DEFINE_CLEANUP(AgentNode *, agent_node_free);

/* The index where id is or belongs. */
static size_t position(const Agents *agents, uint64_t id) {
        size_t low = 0, high = agents->n_nodes;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (agents->nodes[middle]->id < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

AgentNode *agents_find(Agents *agents, uint64_t node_id) {
        size_t i;

        assert(agents);

        i = position(agents, node_id);
        return i < agents->n_nodes && agents->nodes[i]->id == node_id ? agents->nodes[i] : NULL;
}

Stamp agents_stamp(const Agents *agents) {
        Stamp now;

        assert(agents);

        now = agents->here;
        now.mono = now_usec(CLOCK_MONOTONIC);
        return now;
}

/* Which instance was heard last stands in the store: a restart of ours lets no clone in. */
static int load_instance(Agents *agents, AgentNode *node) {
        _cleanup_(node_done) Node row = NODE_NULL;
        int r;

        assert(agents);
        assert(node);

        r = node_get(agents->api->store, node->id, &row);
        if (r != 0)
                return r;
        if (streq(row.heard.boot_id, agents->here.boot_id)) {
                node->heard = row.heard.mono;
                node->agent_id = TAKE_PTR(row.agent_id);
        }
        return 0;
}

static int add_node(Agents *agents, uint64_t id, AgentNode **ret) {
        _cleanup_(agent_node_freep) AgentNode *node = NULL;
        AgentNode **grown;
        size_t i;
        int r;

        assert(agents);

        node = new0(AgentNode, 1);
        if (!node)
                return -ENOMEM;
        node->id = id;
        node->announce = true;
        node->allowance = AGENT_RATE_BURST;
        node->allowance_at = now_usec(CLOCK_MONOTONIC);
        r = load_instance(agents, node);
        if (r != 0)
                return r;
        grown = realloc(agents->nodes, (agents->n_nodes + 1) * sizeof(AgentNode *));
        if (!grown)
                return -ENOMEM;
        agents->nodes = grown;
        i = position(agents, id);
        memmove(grown + i + 1, grown + i, (agents->n_nodes - i) * sizeof(AgentNode *));
        grown[i] = node;
        agents->n_nodes++;
        *ret = TAKE_PTR(node);
        return 0;
}

static bool within_rate(AgentNode *node) {
        usec_t now = now_usec(CLOCK_MONOTONIC);
        usec_t gained = usec_sub(now, node->allowance_at) * AGENT_RATE_PER_SEC / USEC_PER_SEC;

        if (gained > 0) {
                node->allowance = (uint32_t) MIN(gained + node->allowance, (usec_t) AGENT_RATE_BURST);
                node->allowance_at = now;
        }
        if (node->allowance == 0)
                return false;
        node->allowance--;
        return true;
}

/* An answer that was given is an outcome. */
static int answered(int error) {
        return error < 0 ? error : 1;
}

int agent_node_of(Request *r, AgentNode **ret) {
        AgentNode *node;
        int error;

        assert(r);
        assert(r->principal.kind == PRINCIPAL_NODE);
        assert(ret);

        node = agents_find(r->api->agents, r->principal.node_id);
        if (!node) {
                error = add_node(r->api->agents, r->principal.node_id, &node);
                if (error == STORE_E_NOT_FOUND)
                        return answered(request_fail(r, ERROR_NODE_TOKEN_INVALID, "This node was deleted."));
                if (error < 0)
                        return error;
        }
        if (!within_rate(node))
                return answered(request_fail_later(r, ERROR_TOO_MANY_REQUESTS, USEC_PER_SEC,
                                                   "This node sends more than %u requests a second.",
                                                   AGENT_RATE_PER_SEC));
        if (r->principal.token_to_note) {
                node->token = r->principal.token_id;
                agent_contact_note(r->api->agents, node, /* urgent= */ true);
        }
        *ret = node;
        return 0;
}

/* --- Instances ------------------------------------------------------------------------------------ */

void agent_duplicate_forget(Agents *agents, AgentNode *node) {
        assert(agents);
        assert(node);

        if (!node->duplicate)
                return;
        node->duplicate = mfree(node->duplicate);
        node->duplicate_changed = true;
        agents->duplicates--;
}

static int refuse_instance(Request *r, AgentNode *node, const char *agent_id, usec_t now) {
        int error;

        assert(r);

        if (!streq_ptr(node->duplicate, agent_id))
                log_struct(LOG_WARNING, MESSAGE_NODE_DUPLICATE, LOG_FIELDS(LOG_NODE(node->id)),
                           "Two agents show the token of node %" PRIu64
                           ": is one machine a copy of the other? The newcomer is refused.",
                           node->id);
        agent_duplicate_forget(r->api->agents, node);
        error = free_and_strdup(&node->duplicate, agent_id);
        if (error < 0)
                return error;
        r->api->agents->duplicates++;
        node->duplicate_heard = now;
        node->duplicate_changed = true;
        agent_contact_note(r->api->agents, node, /* urgent= */ true);
        return answered(request_fail_later(
                        r, ERROR_NODE_DUPLICATE, AGENT_INSTANCE_USEC,
                        "Another agent with the token of this node is in contact. A copy of a "
                        "machine needs a node and a token of its own."));
}

int agent_check_instance(Request *r, AgentNode *node, const char *agent_id) {
        usec_t now = now_usec(CLOCK_MONOTONIC);
        bool known;
        int error;

        assert(r);
        assert(node);
        assert(agent_id);

        known = streq_ptr(node->agent_id, agent_id);
        if (!known && node->agent_id && node->heard > 0 && usec_sub(now, node->heard) < AGENT_INSTANCE_USEC)
                return refuse_instance(r, node, agent_id, now);
        if (!known) {
                error = free_and_strdup(&node->agent_id, agent_id);
                if (error < 0)
                        return error;
                if (streq_ptr(node->duplicate, agent_id))
                        agent_duplicate_forget(r->api->agents, node);
                node->announce = true;
        }
        if (usec_sub(now, node->heard) > AGENT_INSTANCE_USEC)
                node->announce = true;
        node->heard = now;
        return 0;
}

/* --- Commands that a node has --------------------------------------------------------------------- */

AgentCommand *agent_command_find(AgentNode *node, uint64_t id) {
        assert(node);

        for (size_t i = 0; i < node->n_commands; i++)
                if (node->commands[i].id == id)
                        return &node->commands[i];
        return NULL;
}

AgentCommand *agent_command_note(AgentNode *node, uint64_t id, uint64_t run_id) {
        AgentCommand *grown, *found;

        assert(node);

        found = agent_command_find(node, id);
        if (found)
                return found;
        if (node->n_commands >= AGENT_HOLDING_MAX) { /* the oldest is the one least needed */
                memmove(node->commands, node->commands + 1, (node->n_commands - 1) * sizeof(AgentCommand));
                node->n_commands--;
        }
        grown = realloc(node->commands, (node->n_commands + 1) * sizeof(AgentCommand));
        if (!grown)
                return NULL;
        node->commands = grown;
        grown[node->n_commands] = (AgentCommand){ .id = id, .run_id = run_id };
        return &grown[node->n_commands++];
}

void agent_command_forget(AgentNode *node, uint64_t id) {
        AgentCommand *c;

        assert(node);

        c = agent_command_find(node, id);
        if (c)
                *c = node->commands[--node->n_commands];
}

/* --- Life ----------------------------------------------------------------------------------------- */

int agents_new(Api *api, Agents **ret) {
        Agents *agents;

        assert(api);
        assert(ret);

        agents = new0(Agents, 1);
        if (!agents)
                return -ENOMEM;
        agents->api = api;
        agents->ops_end = &agents->ops;
        *ret = agents;
        return 0;
}

int agents_start(Agents *agents) {
        int r;

        assert(agents);

        agents->listening_since = now_usec(CLOCK_MONOTONIC);
        r = stamp_now(&agents->here);
        if (r >= 0)
                r = agent_wait_start(agents);
        if (r >= 0)
                r = agent_bus_start(agents);
        if (r < 0)
                return r;
        return agents_commit_start(agents);
}

void agents_stop(Agents *agents) {
        assert(agents);

        agents->is_stopping = true;
        for (size_t i = 0; i < agents->n_nodes; i++) {
                AgentOp *op = agents->nodes[i]->waiting;

                if (!op)
                        continue;
                agent_op_reply(op, MHD_HTTP_NO_CONTENT, NULL);
                agent_op_answer(op);
        }
        agents_commit(agents, /* with_contacts= */ true);
}

Agents *agents_free(Agents *agents) {
        if (!agents)
                return NULL;
        while (agents->ops) {
                AgentOp *op = agents->ops;

                agents->ops = op->next;
                op->request = NULL; /* the server has answered it */
                agent_op_free(op);
        }
        for (size_t i = 0; i < agents->n_nodes; i++) {
                if (agents->nodes[i]->waiting) {
                        agents->nodes[i]->waiting->request = NULL;
                        agent_op_free(agents->nodes[i]->waiting);
                }
                agent_node_free(agents->nodes[i]);
        }
        free(agents->nodes);
        sd_event_source_disable_unref(agents->turn);
        sd_event_source_disable_unref(agents->tick);
        sd_event_source_disable_unref(agents->wheel);
        return mfree(agents);
}

void agents_dismiss(Agents *agents, uint64_t node_id) {
        AgentNode *node;

        assert(agents);

        node = agents_find(agents, node_id);
        if (!node || !node->waiting)
                return;
        agent_op_reply(node->waiting, MHD_HTTP_NO_CONTENT, NULL);
        agent_op_answer(node->waiting);
}

unsigned agents_waiting(const Agents *agents) {
        assert(agents);

        return agents->waiting;
}
