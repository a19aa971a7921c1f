/* SPDX-License-Identifier: Apache-2.0 */

/* Commands that wait and are out of date: sealed to a key that is not the node's any more, or with the place
 * and the credentials of a target as they were before somebody changed them. A node may be offline for days;
 * what it gets then has to be what holds then. The run gets a new command, a probe ends. */

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "services/dispatcher/dispatcher.h"
#include "sys/log.h"

typedef struct Reason {
        const char *code;
        const char *text;
} Reason;

static const Reason key_changed = {
        "NODE_KEY_CHANGED", "The node has a new key; what was sealed to the old one is of no use"
};
static const Reason node_left = { "NODE_LEFT", "The node cannot take the run any more" };
static const Reason target_changed = { "TARGET_CHANGED", "A target was changed while the command waited" };

/* In the transaction of the caller. */
static int renew(Dispatcher *d, const Command *c, const Reason *why) {
        usec_t now = now_usec(CLOCK_REALTIME);
        int r;

        assert(d);
        assert(c);
        assert(why);

        r = queue_abandon(d->store, c->id, COMMAND_CANCELLED, why->code, why->text, now);
        if (r == 0)
                r = queue_settle(d->store, c->id);
        if (r == 0 && c->run_id > 0)
                r = run_requeue(d->store, c->run_id);
        return r < 0 ? r : 0;
}

static int renew_sealed(Dispatcher *d, const Command *c, void *userdata) {
        assert(c);

        return c->state == COMMAND_PENDING ? renew(d, c, &key_changed) : 0;
}

int dispatcher_renew_node(Dispatcher *d, uint64_t node_id) {
        return dispatcher_each_open(d, node_id, renew_sealed, NULL);
}

/* Whether a target of this run, or of the run that it restores, was changed after this time. */
static int targets_changed(Dispatcher *d, uint64_t run_id, usec_t since, bool *ret) {
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        _cleanup_(run_done) Run run = RUN_NULL;
        int r;

        assert(d);

        r = run_get(d->store, run_id, &run);
        if (r == 0)
                r = run_targets_get(d->store, run.source_run > 0 ? run.source_run : run.id, &targets);
        if (r < 0)
                return r;
        for (size_t i = 0; i < targets.n; i++) {
                _cleanup_(target_done) Target target = TARGET_NULL;

                r = target_get(d->store, targets.items[i].target_id, &target);
                if (r < 0)
                        return r;
                if (r == 0 && target.updated > since) {
                        *ret = true;
                        return 0;
                }
        }
        *ret = false;
        return 0;
}

static int renew_if_changed(Dispatcher *d, const Command *c, void *userdata) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(command_done) Command now = COMMAND_NULL;
        bool changed;
        int r;

        assert(d);
        assert(c);

        if (c->state != COMMAND_PENDING || c->run_id == 0)
                return 0;
        r = store_begin(d->store, &tx);
        if (r < 0)
                return r;
        r = command_get(d->store, c->id, &now);
        if (r != 0 || now.state != COMMAND_PENDING)
                return r < 0 ? r : 0;
        r = targets_changed(d, c->run_id, c->created, &changed);
        if (r < 0 || !changed)
                return r;
        r = renew(d, c, &target_changed);
        if (r == 0)
                r = store_commit(&tx);
        if (r < 0)
                return r;
        log_struct(LOG_INFO, NULL, LOG_FIELDS(LOG_RUN(c->run_id), LOG_COMMAND(c->id), LOG_NODE(c->node_id)),
                   "Command %" PRIu64 " is made anew: a target was changed while it waited", c->id);
        return 0;
}

int dispatcher_renew_changed(Dispatcher *d) {
        usec_t newest;
        int r;

        assert(d);

        r = targets_newest(d->store, &newest);
        if (r < 0 || newest == d->targets_seen)
                return r;
        r = dispatcher_each_open(d, /* node_id= */ 0, renew_if_changed, NULL);
        if (r < 0)
                return r;
        d->targets_seen = newest;
        return 0;
}

/* --- Nodes that cannot take them --- */

/* Ends a command of a node that was disabled: its agent is not listened to any more. */
static int end_disabled(Dispatcher *d, const Command *c) {
        int r;

        assert(d);
        assert(c);

        r = queue_abandon(d->store, c->id, COMMAND_FAILED, "NODE_DISABLED",
                          "The node was disabled while it had the command", now_usec(CLOCK_REALTIME));
        if (r == 0)
                log_struct(LOG_NOTICE, NULL,
                           LOG_FIELDS(LOG_RUN(c->run_id), LOG_COMMAND(c->id), LOG_NODE(c->node_id)),
                           "Command %" PRIu64 " ends: its node was disabled", c->id);
        return r < 0 ? r : 0;
}

/* Back to its run, which gets another node, or waits for this one without keeping anybody out. */
static int give_back(Dispatcher *d, const Command *c) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(command_done) Command now = COMMAND_NULL;
        int r;

        assert(d);
        assert(c);

        r = store_begin(d->store, &tx);
        if (r < 0)
                return r;
        r = command_get(d->store, c->id, &now);
        if (r != 0 || now.state != COMMAND_PENDING)
                return MIN(r, 0);
        r = renew(d, c, &node_left);
        if (r == 0)
                r = store_commit(&tx);
        if (r == 0)
                log_struct(LOG_INFO, NULL,
                           LOG_FIELDS(LOG_RUN(c->run_id), LOG_COMMAND(c->id), LOG_NODE(c->node_id)),
                           "Run %" PRIu64 " is given back: the node that was to do it cannot take it",
                           c->run_id);
        return r;
}

int dispatcher_release_commands(Dispatcher *d) {
        static const struct {
                int (*list)(Store *s, CommandList *ret);
                int (*release)(Dispatcher *d, const Command *c);
        } kinds[] = {
                { queue_list_disabled, end_disabled },
                { queue_list_stranded, give_back },
        };

        assert(d);

        for (size_t k = 0; k < ELEMENTSOF(kinds); k++) {
                _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
                int r;

                r = kinds[k].list(d->store, &list);
                for (size_t i = 0; i < list.n && r >= 0; i++)
                        r = kinds[k].release(d, list.items + i);
                if (r < 0)
                        return r;
        }
        return 0;
}
