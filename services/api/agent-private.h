#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Shared by the files of the agents' side. */

#include <systemd/sd-event.h>

#include "store/node.h"
#include "store/queue.h"
#include "wire/agent.h"

#include "services/api/agent.h"
#include "services/api/api.h"

#define AGENT_TICK_USEC (1 * USEC_PER_SEC)
/* While one instance was heard within this time another one of the same node is refused. */
#define AGENT_INSTANCE_USEC (AGENT_OFFLINE_SEC * USEC_PER_SEC)
/* A refused instance is told of (the node is degraded) until it has been away for this long. */
#define AGENT_DUPLICATE_USEC (2 * USEC_PER_MINUTE)
/* Requests of one node: its jobs report twice a second each, and a loop of errors is stopped. */
#define AGENT_RATE_PER_SEC 200U
#define AGENT_RATE_BURST 600U
/* Of one answer: as many as a node can have. */
#define AGENT_CANCELS_MAX AGENT_HOLDING_MAX
/* What we know of one running command. */
#define AGENT_PHASE_MAX 33
/* How exactly a long poll ends, and how many such steps there are: those that end together are answered
 * together, and whoever has a command to get waits meanwhile. */
#define AGENT_WAIT_SLOT_USEC (50 * USEC_PER_MSEC)
#define AGENT_WAIT_SLOTS 1200U

typedef struct AgentOp AgentOp;

/* A command that this node has, as far as this process has seen it. */
typedef struct AgentCommand {
        uint64_t id;
        uint64_t run_id;
        bool told_cancel; /* over the long poll; heartbeats tell it until the command has ended */
        char phase[AGENT_PHASE_MAX];
} AgentCommand;

typedef struct AgentNode AgentNode;

struct AgentNode {
        uint64_t id;
        char *agent_id;         /* the instance that is heard */
        usec_t heard;           /* monotonic; 0: not by this process */
        char *duplicate;        /* the instance that was refused; NULL: none */
        usec_t duplicate_heard; /* monotonic */

        AgentOp *waiting; /* its long poll */

        /* what is to be written at a tick; see agent-contact.c */
        AgentNode *dirty_next;
        bool dirty;
        bool urgent; /* at the next one */
        bool beaten; /* there was a heartbeat */
        bool duplicate_changed;
        bool announce;           /* the dispatcher is to be told that it is here */
        HeartbeatBody heartbeat; /* the newest one, until it is written; empty: nothing in it is new */
        char *refused_key;       /* that its agent showed last in the place of the pinned one; NULL: none */
        char *refused_id;        /* the instance that showed it */
        int64_t clock_skew;
        uint64_t content;  /* what was written last, as a digest; 0: nothing */
        usec_t content_at; /* monotonic */
        uint64_t token;    /* its use is to be noted; 0: none */

        AgentCommand *commands;
        size_t n_commands;

        /* a bucket of requests */
        uint32_t allowance;
        usec_t allowance_at;
};

typedef enum AgentOpKind {
        AGENT_OP_CLAIM,
        AGENT_OP_ACCEPT,
        AGENT_OP_PROGRESS,
        AGENT_OP_RESULT,
        AGENT_OP_ENROLL,
} AgentOpKind;

/* One request on its way through the list. */
struct AgentOp {
        AgentOp *next;
        Agents *agents;
        AgentOpKind kind;
        Request *request; /* NULL: it was cancelled, nobody waits for the answer */
        AgentNode *node;  /* NULL: it enrolls only now */
        uint64_t node_id;
        CommandRef ref;

        union { /* of its kind */
                ClaimBody claim;
                ProgressBody progress;
                ResultBody result;
                EnrollBody enroll;
        };
        usec_t until;       /* monotonic, of a claim */
        AgentOp *wait_next; /* while it waits: the others of its slot */
        AgentOp **wait_link;

        /* the outcome */
        bool keeps_waiting;
        bool rings; /* the dispatcher is to look */
        unsigned status;
        json_t *data;
        ApiError error; /* where status is 0 */
        const char *message;
};

struct Agents {
        Api *api;
        AgentNode **nodes; /* sorted by id */
        size_t n_nodes;
        AgentNode *dirty; /* those that a tick has something to write of */
        unsigned duplicates;
        uint64_t ticks;
        bool is_stopping;

        AgentOp *ops; /* in order of arrival */
        AgentOp **ops_end;
        sd_event_source *turn;
        sd_event_source *tick;
        usec_t ticked; /* monotonic; 0: not yet */

        usec_t listening_since;
        uint64_t data_version;
        Stamp here; /* its boot; see agents_stamp() */

        AgentOp *waits[AGENT_WAIT_SLOTS]; /* long polls, by the end of their wait */
        uint64_t wheel_at;                /* the first slot that is not over */
        sd_event_source *wheel;
        unsigned waiting;
};

/* --- agent.c --- */

/* The node of the request's token, within its rate; else answers and gives positive. */
int agent_node_of(Request *r, AgentNode **ret) _warn_unused_;
AgentNode *agents_find(Agents *agents, uint64_t node_id);
/* This instant. */
Stamp agents_stamp(const Agents *agents);
/* Whether this instance is the one that is heard, or may take over. Positive: the request was answered. */
int agent_check_instance(Request *r, AgentNode *node, const char *agent_id) _warn_unused_;
/* The instance that was refused is none any more. */
void agent_duplicate_forget(Agents *agents, AgentNode *node);
AgentCommand *agent_command_find(AgentNode *node, uint64_t id);
/* Remembers a command; NULL: out of memory or out of room, both harmless. */
AgentCommand *agent_command_note(AgentNode *node, uint64_t id, uint64_t run_id);
void agent_command_forget(AgentNode *node, uint64_t id);

/* --- agent-commit.c --- */

/* An operation for this request, which is suspended with it. */
int agent_op_new(Request *r, AgentNode *node, AgentOpKind kind, AgentOp **ret) _warn_unused_;
AgentOp *agent_op_free(AgentOp *op);
DEFINE_CLEANUP(AgentOp *, agent_op_free);
/* Takes op over. Urgent: the list runs at the end of this turn; else at the next tick at the latest. */
void agents_enqueue(Agents *agents, AgentOp *op, bool urgent);
/* Ends an operation with its answer, or without one where nobody waits; frees it. */
void agent_op_answer(AgentOp *op);
/* Sets the answer: data is taken over. */
void agent_op_reply(AgentOp *op, unsigned status, json_t *data);
void agent_op_fail(AgentOp *op, ApiError error, const char *message);
int agents_commit_start(Agents *agents) _warn_unused_;
/* Runs the list now; with_contacts: heartbeats and the stamp, too. */
void agents_commit(Agents *agents, bool with_contacts);

/* --- agent-contact.c --- */

/* Something about this node is to be written; urgent: at the next tick. */
void agent_contact_note(Agents *agents, AgentNode *node, bool urgent);
/* In the transaction of a tick: what is urgent, and the part of the others whose turn it is. */
int agents_write_contacts(Agents *agents) _warn_unused_;
/* After its commit, in the same tick; written: it was one. */
void agents_contacts_done(Agents *agents, bool written);

/* --- agent-greet.c --- */

/* Answers a heartbeat that was taken. */
int agent_greet(Request *r, const NodeGreeting *row) _warn_unused_;

/* --- agent-claim.c, agent-command.c, agent-enroll.c: called in the transaction --- */

int agent_claim_run(AgentOp *op) _warn_unused_;
/* Keeps a claim that found nothing. */
void agent_claim_wait(AgentOp *op);
/* Looks whether the node that waits has something to do now. */
void agent_claim_wake(AgentNode *node);
int agent_accept_run(AgentOp *op) _warn_unused_;
int agent_progress_run(AgentOp *op) _warn_unused_;
int agent_result_run(AgentOp *op) _warn_unused_;
int agent_enroll_run(AgentOp *op) _warn_unused_;

/* --- agent-wait.c --- */

int agent_wait_start(Agents *agents) _warn_unused_;
/* From now on it is the one of its node that waits, until op->until. */
int agent_wait_add(AgentOp *op) _warn_unused_;
/* Takes it out, if it waits. */
void agent_wait_remove(AgentOp *op);

/* --- agent-bus.c --- */

/* Matches what the dispatcher rings for. */
int agent_bus_start(Agents *agents) _warn_unused_;
/* The dispatcher's answer: positive: pinned; 0: another key is pinned; negative errno. */
typedef void (*AgentPinReply)(int result, void *userdata);
int agent_bus_pin(Agents *agents, uint64_t node_id, const char *key, AgentPinReply reply, void *userdata)
                _warn_unused_;
/* Tells that a node is here. Nobody has to hear it. */
void agent_bus_seen(Agents *agents, uint64_t node_id);
