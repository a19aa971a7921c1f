#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The queue of commands: the truth about all work. A row changes by one conditional statement that names the
 * state and the attempt it starts from, so of any number of processes exactly one makes each change, and one
 * that was killed between two statements left a state from which the others go on.
 *
 *         pending -> dispatched -> accepted -> succeeded | partial | failed | cancelled
 *            ^           |            |
 *            +-----------+            +-> timeout (ten minutes of silence)
 *       delivered, not accepted
 *
 *         pending -> cancelled (asked for, or its deadline passed: error_code DEADLINE_PASSED)
 *
 * The attempt is a number that each claim raises, over all commands of one run. Who shows another one than
 * the row's has lost it: QUEUE_E_STALE. A lease is the stamp of the last sign of life about an accepted
 * command.
 *
 * Who writes: the dispatcher adds, cancels, expires and settles; the API, for the agents: claims, accepts,
 * renews, progress, finishes. */

#include "store/stamp.h"

typedef enum CommandState {
        COMMAND_PENDING,
        COMMAND_DISPATCHED,
        COMMAND_ACCEPTED,
        COMMAND_SUCCEEDED,
        COMMAND_PARTIAL,
        COMMAND_FAILED,
        COMMAND_TIMEOUT,
        COMMAND_CANCELLED,
        _COMMAND_STATE_MAX,
        _COMMAND_STATE_INVALID = -EINVAL,
} CommandState;

DECLARE_STRING_TABLE(command_state, CommandState);

static inline bool command_state_is_final(CommandState state) {
        return state >= COMMAND_SUCCEEDED;
}

enum {
        QUEUE_E_EMPTY = _STORE_E_MAX + 500, /* nothing to claim now */
        QUEUE_E_STALE,                      /* this attempt is not the current one (any more): drop it */
        QUEUE_E_GONE,                       /* the command has ended: a result is acknowledged and ignored */
        QUEUE_E_FOREIGN,                    /* another node's command: as if it did not exist */
        QUEUE_E_FULL,                       /* this node has QUEUE_NODE_MAX open commands */
        QUEUE_E_BLIND,                      /* the API does not listen: nothing may expire */
};

/* Open commands of one node. Runs do not overlap, so this is tasks and clicks; a click storm ends here. */
#define QUEUE_NODE_MAX 1000U
/* Commands of one claim: above any capacity. */
#define QUEUE_CLAIM_MAX 64U
/* Accepting takes one round trip; after this the command is delivered again. */
#define QUEUE_ACCEPT_USEC (30 * USEC_PER_SEC)
/* Silence about an accepted command. */
#define QUEUE_LEASE_USEC (10 * USEC_PER_MINUTE)

typedef struct Command {
        uint64_t id;
        uint64_t run_id; /* 0: a probe */
        uint64_t node_id;
        char *kind;
        CommandState state;
        uint32_t attempt; /* 0: never claimed */
        usec_t created;
        usec_t deadline; /* wall clock; one that is still pending then is cancelled; 0: none */
        usec_t dispatched;
        usec_t accepted;
        usec_t finished;
        bool cancel;    /* the agent is to be told */
        bool settled;   /* the dispatcher took note of the end */
        char *agent_id; /* who claimed it */
        Stamp heard;    /* last sign of life about it: claim, accept, renewal, progress */
        char *spec;     /* JSON */
        char *secrets;  /* sealed to the node; gone when it ended */
        char *progress; /* JSON */
        char *result;   /* JSON */
        char *error_code;
        char *error;
} Command;

#define COMMAND_NULL ((Command){})

void command_done(Command *c);

typedef struct CommandList {
        Command *items;
        size_t n;
} CommandList;

#define COMMAND_LIST_NULL ((CommandList){})

void command_list_done(CommandList *l);

/* Names one attempt, as agents do. */
typedef struct CommandRef {
        uint64_t id;
        uint32_t attempt;
} CommandRef;

/* --- the dispatcher --- */

typedef struct CommandNew {
        uint64_t run_id;
        uint64_t node_id;
        const char *kind;
        const char *spec;
        const char *secrets;
        usec_t deadline;
} CommandNew;

/* QUEUE_E_FULL; STORE_E_NOT_FOUND: no such node or run; STORE_E_IN_USE: the run has an open command. */
int queue_add(Store *s, const CommandNew *c, usec_t now, uint64_t *ret_id) _warn_unused_;
/* New secrets for a pending command (QUEUE_E_STALE: it is not pending with this attempt). */
int queue_set_secrets(Store *s, const CommandRef *ref, const char *secrets) _warn_unused_;
/* A pending one is cancelled at once (ret_ended is true); one that is out is marked, for its agent to hear.
 * QUEUE_E_GONE: it had ended; STORE_E_NOT_FOUND. */
int queue_cancel(Store *s, uint64_t id, usec_t now, bool *ret_ended) _warn_unused_;
/* The same for a probe that nobody waits for any more. One that was delivered and not accepted is cancelled
 * at once, too: accepting it is QUEUE_E_GONE then, so that it is not carried out later. A command with a run
 * is STORE_E_NOT_FOUND. */
int queue_cancel_probe(Store *s, uint64_t id, usec_t now, bool *ret_ended) _warn_unused_;
/* Ends an open command without its agent, e.g. of a node that is deleted; state is a final one.
 * QUEUE_E_GONE, STORE_E_NOT_FOUND. */
int queue_abandon(Store *s, uint64_t id, CommandState state, const char *error_code, const char *error,
                  usec_t now) _warn_unused_;

/* What expiry did, command by command. */
typedef struct QueueExpired {
        uint64_t id;
        uint64_t run_id;
        uint64_t node_id;
        CommandState state; /* now: pending (it is delivered again), timeout, cancelled */
} QueueExpired;

typedef struct QueueExpiredList {
        QueueExpired *items;
        size_t n;
} QueueExpiredList;

#define QUEUE_EXPIRED_LIST_NULL ((QueueExpiredList){})

void queue_expired_list_done(QueueExpiredList *l);

/* Delivered and not accepted for QUEUE_ACCEPT_USEC -> pending (or cancelled, when that was asked for);
 * accepted and silent for QUEUE_LEASE_USEC -> timeout; pending behind its deadline -> cancelled. Silence is
 * measured as stamp_silence() says, against the API's stamp in the store; when that is not fresh only
 * deadlines are looked at, and QUEUE_E_BLIND is given (the list is filled in that case, too). */
int queue_expire(Store *s, const Stamp *now, usec_t wall, QueueExpiredList *ret) _warn_unused_;

/* What is out at nodes that were disabled, and probes that wait for them. Oldest first. */
int queue_list_disabled(Store *s, CommandList *ret) _warn_unused_;
/* Pending commands of runs that name a label, whose chosen node is offline, drained or disabled; and those
 * that the master's own node has of a prune of another node's repositories, where it is so itself. */
int queue_list_stranded(Store *s, CommandList *ret) _warn_unused_;

/* Ended commands that the dispatcher has not taken note of, oldest first. */
int queue_list_unsettled(Store *s, uint64_t after_id, size_t limit, CommandList *ret) _warn_unused_;
/* In the transaction that moves the run. STORE_E_STATE: not ended, or settled before. */
int queue_settle(Store *s, uint64_t id) _warn_unused_;

/* --- the API, for an agent; node_id is the token's node --- */

typedef struct QueueClaim {
        uint64_t node_id;
        const char *agent_id;
        const CommandRef *holding; /* what the agent has received and not ended */
        size_t n_holding;
        const CommandRef *unstarted; /* what it had accepted and provably did not begin with */
        size_t n_unstarted;
        unsigned capacity; /* how many commands of runs it can take */
        unsigned probes;   /* and how many without a run: these do not wait behind backups */
        Stamp now;
        usec_t wall;
} QueueClaim;

/* Whether a claim of this node may find something: 1, 0. One look, no transaction. */
int queue_has_work(Store *s, uint64_t node_id) _warn_unused_;

/* What was delivered to this node, is not accepted and is not in holding goes back first (it was lost on the
 * way), and so does what is accepted and in unstarted. Then the oldest pending commands, as many as it can
 * take, become dispatched, with the next attempt, in one statement. By id. QUEUE_E_EMPTY. Nothing is claimed
 * of a node that drains. */
int queue_claim(Store *s, const QueueClaim *claim, CommandList *ret) _warn_unused_;
/* dispatched -> accepted; repeating it is 0. QUEUE_E_STALE, QUEUE_E_GONE, QUEUE_E_FOREIGN. */
int queue_accept(Store *s, const CommandRef *ref, uint64_t node_id, const Stamp *now, usec_t wall)
                _warn_unused_;
/* Renews the leases of those that are this node's, accepted and of this attempt; the others are skipped.
 * ret_renewed may be NULL. */
int queue_renew(Store *s, uint64_t node_id, const CommandRef *refs, size_t n, const Stamp *now,
                size_t *ret_renewed) _warn_unused_;
/* Keeps the newest progress and renews. ret_cancel: the agent is to stop it. QUEUE_E_STALE, QUEUE_E_GONE,
 * QUEUE_E_FOREIGN. */
int queue_progress(Store *s, const CommandRef *ref, uint64_t node_id, const char *progress, const Stamp *now,
                   bool *ret_cancel) _warn_unused_;

typedef struct CommandEnd {
        CommandState state; /* succeeded, partial, failed, cancelled */
        const char *error_code;
        const char *error;
        const char *result;
} CommandEnd;

/* dispatched or accepted, of this attempt -> ended; secrets are wiped from the row. QUEUE_E_STALE: a newer
 * attempt (or none) is current; QUEUE_E_GONE: it has ended, by whatever; QUEUE_E_FOREIGN. */
int queue_finish(Store *s, const CommandRef *ref, uint64_t node_id, const CommandEnd *end, usec_t wall)
                _warn_unused_;

/* Ids of this node's open commands that its agent has to cancel; up to n; gives the count. */
int queue_cancels(Store *s, uint64_t node_id, uint64_t *ids, size_t n, size_t *ret_n) _warn_unused_;

/* Nodes that have something to claim, by id: what a restarted API looks at. */
int queue_nodes_waiting(Store *s, uint64_t after_node_id, uint64_t *ids, size_t n, size_t *ret_n)
                _warn_unused_;

/* --- reading --- */

/* STORE_E_NOT_FOUND. */
int command_get(Store *s, uint64_t id, Command *ret) _warn_unused_;
/* The JSON of its newest progress alone, NULL: none yet. STORE_E_NOT_FOUND. */
int command_get_progress(Store *s, uint64_t id, char **ret) _warn_unused_;
typedef struct CommandFilter {
        uint64_t node_id; /* 0: all */
        uint64_t run_id;  /* 0: all */
        bool open;        /* only those that have not ended */
} CommandFilter;

/* Oldest first. Without spec, secrets and result. */
int queue_list(Store *s, const CommandFilter *filter, uint64_t after_id, size_t limit, CommandList *ret)
                _warn_unused_;

typedef struct QueueCounts {
        uint64_t pending;
        uint64_t dispatched;
        uint64_t accepted;
        uint64_t timeouts_total; /* since the database was made */
} QueueCounts;

/* node_id 0: of all nodes. */
int queue_counts(Store *s, uint64_t node_id, QueueCounts *ret) _warn_unused_;
