#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The dispatcher: WHO and WHETHER. Queued runs become commands for nodes, ends of commands become ends of
 * runs, silence becomes a state. It alone opens stored secrets. Whatever it does begins with reading the
 * store and ends with one commit, so that it may be killed at any instant; signals only make it look
 * sooner. */

#include "crypto/age.h"
#include "services/dispatcher/order.h"
#include "services/dispatcher/outcome.h"
#include "store/queue.h"
#include "sys/bus.h"
#include "sys/log.h"

/* How often all is looked at when nobody rings. Also the grain of leases and node states. */
#define DISPATCHER_TICK_USEC (1 * USEC_PER_SEC)
/* A person waits for a probe: after this nobody does any more. */
#define DISPATCHER_PROBE_USEC (15 * USEC_PER_SEC)
/* An agent that was told to cancel a probe and does not answer. */
#define DISPATCHER_PROBE_GRACE_USEC (15 * USEC_PER_SEC)
/* Clean-up begins so often, and goes on in slices this far apart. */
#define DISPATCHER_CLEAN_USEC (10 * USEC_PER_MINUTE)
#define DISPATCHER_SLICE_USEC (100 * USEC_PER_MSEC)
/* Rows of one page when the store is looked through. */
#define DISPATCHER_PAGE 200U
/* Nodes that are judged every second. Of a larger fleet each one's turn comes some seconds later; but who
 * falls silent, or speaks again, is judged at that moment. */
#define DISPATCHER_NODES_PER_TICK 500U

/* A node that the API has just heard; the store learns it within a second. */
typedef struct Seen {
        uint64_t node_id;
        usec_t mono;
} Seen;

/* Ids of nodes, rising. */
typedef struct NodeSet {
        uint64_t *ids;
        size_t n;
} NodeSet;

/* What is told about a step when it is on disk; see group.c. */
typedef struct Word Word;

typedef struct Dispatcher {
        sd_event *event;
        Store *store;
        BusDoors *doors;
        BusPeer *scheduler;
        AgeIdentity identity;
        AgeRecipient recipient;

        sd_event_source *look; /* runs once, after the messages that are waiting now */
        sd_event_source *tick;
        sd_event_source *clean;
        Word *words, *words_end;
        unsigned steps;     /* of the group that is open */
        usec_t group_began; /* monotonic */
        Seen *seen;
        size_t n_seen;
        NodeSet token_old;    /* nodes that show a replaced token still */
        NodeSet check_failed; /* nodes whose last check found errors */
        uint64_t judged;      /* nodes up to this id were looked at in this round */
        usec_t silence_at;    /* monotonic: no node that is online falls silent before */
        unsigned nodes_online;
        usec_t targets_seen; /* the newest change of a target that waiting commands were looked through for
                              */
        bool blind;          /* the API was not listening when silence was looked at last */
} Dispatcher;

/* Opens the store and the identity and binds the objects; nothing runs before dispatcher_start(). Logs. */
int dispatcher_new(sd_event *event, Dispatcher **ret) _warn_unused_;
Dispatcher *dispatcher_free(Dispatcher *d);
int dispatcher_start(Dispatcher *d) _warn_unused_;

DEFINE_CLEANUP(Dispatcher *, dispatcher_free);

/* --- removed.c --- */

/* What the job of a prune says about the repositories of its node, in the transaction of its end. What is
 * not understood changes nothing. */
int dispatcher_take_removed(Dispatcher *d, const Run *run, const Command *c) _warn_unused_;

/* Looks at everything in this turn of the loop or the next. */
void dispatcher_kick(Dispatcher *d);

static inline OrderContext dispatcher_order_context(Dispatcher *d) {
        return (OrderContext){ .store = d->store, .identity = &d->identity, .recipient = &d->recipient };
}

/* Who asks, for the audit. */
typedef struct Actor {
        uint64_t user_id;
        char *username;
        char *address;
} Actor;

#define ACTOR_NULL ((Actor){})

void actor_done(Actor *a);
/* {"user_id","username","address"}; -EBADMSG. */
int actor_parse(const char *text, Actor *ret, Failure *reterr_failure) _warn_unused_;

/* --- issue.c: runs that wait --- */

/* Makes commands of queued runs, follows those that are out, carries out cancellations. */
int dispatcher_issue(Dispatcher *d) _warn_unused_;
/* STORE_E_NOT_FOUND; STORE_E_STATE: it had ended. */
int dispatcher_cancel(Dispatcher *d, uint64_t run, const Actor *by) _warn_unused_;

/* --- group.c: steps that share a commit --- */

#define GROUP_FIELDS_MAX 8U

/* Begins one step: a transaction in a group, which is opened where none is. */
int dispatcher_begin(Dispatcher *d, StoreTx *tx) _warn_unused_;
/* Behind a step that gave this result: commits where enough have come together. Gives the result, or what
 * the commit gave. -EBUSY: waiting for the lock once is enough for one turn of the loop, since the watchdog
 * waits, too; the caller ends its turn. Any other error is the step's own: the next one begins anew. */
int dispatcher_group_step(Dispatcher *d, int result) _warn_unused_;
/* Commits what is open, and says the words about it; nothing open is fine. */
int dispatcher_group_commit(Dispatcher *d) _warn_unused_;
/* Forgets words that were not said. */
void dispatcher_group_drop(Dispatcher *d);
/* Words: said now, or with the group that is open. As log_struct(), with static texts in the fields. */
void dispatcher_log(Dispatcher *d, int level, const char *message_id, const LogField *fields,
                    const char *format, ...) _printf_(5, 6);
void dispatcher_tell_queued(Dispatcher *d, uint64_t node);
void dispatcher_tell_finished(Dispatcher *d, uint64_t command, CommandState state);
void dispatcher_tell_run(Dispatcher *d, uint64_t run, RunState state);

/* --- settle.c: commands that ended --- */

int dispatcher_settle(Dispatcher *d) _warn_unused_;
/* Ends a run and tells it: the log, the journal, the bus. In the transaction of the caller, who commits
 * and then calls the second. */
int dispatcher_end_run(Dispatcher *d, const Run *run, const RunEnd *end, usec_t now) _warn_unused_;
void dispatcher_tell_end(Dispatcher *d, const Run *run, const RunEnd *end);
/* What commands of a run of two parts did before this last one (0: all), into what it came to. */
int dispatcher_add_parts(Dispatcher *d, const Run *run, uint64_t last, Outcome *o) _warn_unused_;

/* --- watch.c: silence, nodes, clean-up --- */

int dispatcher_watch(Dispatcher *d) _warn_unused_;
/* The API heard this node just now. */
int dispatcher_node_seen(Dispatcher *d, uint64_t node_id) _warn_unused_;
/* Pins a key, as the store allows: NODE_E_KEY_MISMATCH, STORE_E_NOT_FOUND, -EINVAL (not a recipient). What
 * waits sealed to the key before is made anew. */
int dispatcher_pin_key(Dispatcher *d, uint64_t node_id, const char *recipient) _warn_unused_;
int dispatcher_set_draining(Dispatcher *d, uint64_t node_id, bool draining, const Actor *by) _warn_unused_;

/* --- walk.c --- */

/* A negative return ends the walk, and is returned. */
typedef int (*CommandFunc)(Dispatcher *d, const Command *c, void *userdata);

/* Every command that has not ended, oldest first, as queue_list() has it; func may end it. node_id 0: of all
 * nodes. */
int dispatcher_each_open(Dispatcher *d, uint64_t node_id, CommandFunc func, void *userdata) _warn_unused_;

/* --- renew.c: what waits and is out of date --- */

/* The node has another key; in the transaction of the caller. */
int dispatcher_renew_node(Dispatcher *d, uint64_t node_id) _warn_unused_;
/* A target was changed. */
int dispatcher_renew_changed(Dispatcher *d) _warn_unused_;
/* Commands of disabled nodes end; those that wait for a node that a label chose and that is away, drained or
 * disabled now go back, for another one to be chosen; and so do those of the master's own node about the
 * repositories of another one, whose backups would wait for them. */
int dispatcher_release_commands(Dispatcher *d) _warn_unused_;

/* --- pool.c: labels --- */

/* Chooses a node for a run that names a label. Gives 0 with the node, or 1 with the reason why there is
 * none. */
int dispatcher_pick_node(Dispatcher *d, const char *label, Node *ret, char **ret_why) _warn_unused_;

/* --- probe.c --- */

/* Queues a probe. ORDER_E_NO_KEY, ORDER_E_REFUSED, QUEUE_E_FULL; with a failure. */
int dispatcher_probe(Dispatcher *d, const ProbeRequest *request, uint64_t *ret_command,
                     Failure *reterr_failure) _warn_unused_;
/* Nobody waits for this one any more: it is not carried out if it was not begun, and its agent is told to
 * end it otherwise. QUEUE_E_GONE: it had ended; STORE_E_NOT_FOUND: no probe. */
int dispatcher_cancel_probe(Dispatcher *d, uint64_t command) _warn_unused_;
/* Cancels probes that nobody waits for any more, and gives up those whose agents do not answer. */
int dispatcher_sweep_probes(Dispatcher *d) _warn_unused_;
/* In the transaction of the caller: the command with its capabilities. */
int dispatcher_queue_order(Dispatcher *d, const Order *order, uint64_t run, usec_t deadline,
                           uint64_t *ret_command) _warn_unused_;

/* --- dispatcher-bus.c --- */

int dispatcher_bus_add(Dispatcher *d) _warn_unused_;
void dispatcher_bus_emit_queued(Dispatcher *d, uint64_t node);
void dispatcher_bus_emit_finished(Dispatcher *d, uint64_t command, CommandState state);
void dispatcher_bus_emit_run(Dispatcher *d, uint64_t run, RunState state);
void dispatcher_bus_emit_node(Dispatcher *d, uint64_t node, NodeState state);
int dispatcher_bus_watch_scheduler(Dispatcher *d) _warn_unused_;
