/* SPDX-License-Identifier: Apache-2.0 */

/* Queued runs become commands, and runs follow what their commands do. Everything here looks at the store
 * as it is and makes one conditional step; it may be called at any time, as often as one likes, and a step
 * that somebody else was faster with is no error. */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/dispatcher.h"
#include "store/audit.h"
#include "store/run-log.h"
#include "sys/log.h"
#include "wire/names.h"

static usec_t now_wall(void) {
        return now_usec(CLOCK_REALTIME);
}

static int make_order(Dispatcher *d, const Run *run, Order *ret, Failure *reterr_failure) {
        const OrderContext x = dispatcher_order_context(d);

        assert(run);

        switch (run->kind) {
        case RUN_BACKUP:
                return order_backup(&x, run, now_wall(), ret, reterr_failure);
        case RUN_RESTORE:
                return order_restore(&x, run, ret, reterr_failure);
        case RUN_VERIFY:
                return order_verify(&x, run, ret, reterr_failure);
        case RUN_PRUNE:
                return order_prune(&x, run, now_wall(), ret, reterr_failure);
        case _RUN_KIND_MAX:
        case _RUN_KIND_INVALID:
                break;
        }
        order_init(ret);
        failure_set(reterr_failure, 0, "RUN_UNKNOWN", "This version does not know such runs");
        return ORDER_E_REFUSED;
}

int dispatcher_queue_order(Dispatcher *d, const Order *order, uint64_t run, usec_t deadline,
                           uint64_t *ret_command) {
        usec_t now = now_wall();
        const CommandNew command = {
                .run_id = run,
                .node_id = order->node_id,
                .kind = command_kind_to_string(order->kind),
                .spec = order->spec,
                .secrets = order->secrets,
                .deadline = deadline,
        };
        uint64_t id;
        int r;

        assert(d);
        assert(order);
        assert(ret_command);

        r = queue_add(d->store, &command, now, &id);
        if (r != 0)
                return r;
        for (size_t i = 0; i < order->n_caps; i++) {
                const RelayCap cap = {
                        .command_id = id,
                        .target_id = order->caps[i].target_id,
                        .prefix = order->caps[i].prefix,
                        .verbs = order->caps[i].verbs,
                };

                r = relay_cap_add(d->store, &cap, order->caps[i].hash, now);
                if (r != 0)
                        return r;
        }
        *ret_command = id;
        return 0;
}

/* Ends a run that has no command now. */
static int finish(Dispatcher *d, const Run *run, RunState state, const char *code, const char *text) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(outcome_done) Outcome o = {};
        int r;

        assert(d);

        o.end = (RunEnd){ .state = state, .error_code = code, .error = text };
        r = dispatcher_begin(d, &tx);
        if (r >= 0)
                r = dispatcher_add_parts(d, run, /* last= */ 0, &o);
        if (r < 0)
                return r;
        r = dispatcher_end_run(d, run, &o.end, now_wall());
        if (r != 0)
                return r < 0 ? r : 0;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        dispatcher_tell_end(d, run, &o.end);
        return 0;
}

/* A command is for the run's node, or, of what is behind the relay, for the master's own. */
static const char *node_name(const Run *run, uint64_t node_id) {
        return node_id == run->node_id ? strempty(run->node_name) : "local";
}

/* A line in the run's own log, which people follow. */
_printf_(3, 4) static int say(Dispatcher *d, const Run *run, const char *format, ...) {
        _cleanup_(freep) char *text = NULL;
        va_list args;
        int r;

        va_start(args, format);
        r = vasprintf_safe(&text, format, args);
        va_end(args);
        return r < 0 ? r : run_log_add(d->store, run->id, now_wall(), "info", text);
}

static void log_issued(Dispatcher *d, const Run *run, const Order *order, uint64_t command) {
        dispatcher_log(d, LOG_INFO, NULL,
                       LOG_FIELDS(LOG_RUN(run->id), LOG_TASK(run->task_id), LOG_NODE(order->node_id),
                                  LOG_COMMAND(command)),
                       "Run %" PRIu64 " of task '%s' is command %" PRIu64 " for node '%s'", run->id,
                       strempty(run->task_name), command, node_name(run, order->node_id));
}

/* Errors of the machine, not of the run: it is tried again. */
static bool is_passing(int error) {
        return error == -ENOMEM || error == -EBUSY || error == -EIO || error == -ENOSPC;
}

/* A queued run says once what it waits for, in itself and in its log. */
static int wait_for(Dispatcher *d, const Run *run, const char *what) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        assert(d);

        if (streq_ptr(run->waiting, what))
                return 0;
        r = dispatcher_begin(d, &tx);
        if (r >= 0)
                r = run_set_waiting(d->store, run->id, what);
        if (r == 0)
                r = say(d, run, "The run waits for %s", what);
        if (r == 0)
                r = store_commit(&tx);
        return MIN(r, 0);
}

/* In the transaction: what the run becomes when it has a command. */
static int take_command(Dispatcher *d, const Run *run, const Order *order, uint64_t *ret) {
        int r = 0;

        assert(d);
        assert(run);
        assert(order);

        if (run->node_label)
                r = run_set_node(d->store, run->id, run->node_id, run->node_name);
        if (r == 0)
                r = dispatcher_queue_order(d, order, run->id, run->deadline, ret);
        if (r == 0)
                r = run_set_command(d->store, run->id, *ret,
                                    order->kind == COMMAND_BACKUP ? order->spec : NULL);
        if (r == 0 && run->waiting)
                r = run_set_waiting(d->store, run->id, NULL);
        return r;
}

static const char *kept_out_by(const Run *run) {
        return run->kind == RUN_PRUNE ? "the end of what works in the repositories of its node" :
                                        "the end of the run that removes old backups from the repositories";
}

static const char *keyless(const Run *run, const Order *order) {
        return run->kind == RUN_PRUNE && order->node_id != run->node_id ?
                        "the first contact of the agent of 'local', which brings its key" :
                        "the first contact of its node's agent, which brings its key";
}

/* From a queued run to a pending command, in one commit. */
static int issue_on_node(Dispatcher *d, const Run *run) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(order_done) Order order = {};
        uint64_t command;
        int r;

        assert(d);
        assert(run);

        r = dispatcher_begin(d, &tx);
        if (r < 0)
                return r;
        r = run_is_kept_out(d->store, run, run->node_id);
        if (r == 1) {
                store_tx_done(&tx);
                return wait_for(d, run, kept_out_by(run));
        }
        if (r == 0)
                r = make_order(d, run, &order, &failure);
        if (r == ORDER_E_NO_KEY) {
                store_tx_done(&tx);
                return wait_for(d, run, keyless(run, &order));
        }
        if (r == ORDER_E_AWAY) {
                store_tx_done(&tx);
                return wait_for(d, run, "the node 'local', which takes no work now");
        }
        if (is_passing(r))
                return r;
        if (r != 0) {
                store_tx_done(&tx);
                return finish(d, run, RUN_FAILED,
                              failure_is_set(&failure) ? failure.code : "RUN_NOT_POSSIBLE",
                              failure_message(&failure, r < 0 ? r : 0));
        }
        r = take_command(d, run, &order, &command);
        if (r == QUEUE_E_FULL) {
                store_tx_done(&tx);
                return wait_for(d, run, "a place in the queue of its node, which is full");
        }
        /* Positive: somebody was faster. The next look tells. */
        if (r != 0)
                return r < 0 ? r : 0;
        r = say(d, run, "The run is command %" PRIu64 " for node '%s'", command,
                node_name(run, order.node_id));
        if (r == 0)
                r = store_commit(&tx);
        if (r < 0)
                return r;
        log_issued(d, run, &order, command);
        dispatcher_tell_queued(d, order.node_id);
        return 0;
}

/* A label stands for a node only now. */
static int issue(Dispatcher *d, const Run *run) {
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(freep) char *why = NULL;
        Run placed = *run; /* shares its texts */
        int r;

        if (run->node_id > 0 || !run->node_label)
                return issue_on_node(d, run);
        r = dispatcher_pick_node(d, run->node_label, &node, &why);
        if (r < 0)
                return r;
        if (r > 0)
                return why ? wait_for(d, run, why) : 0;
        placed.node_id = node.id;
        placed.node_name = node.name;
        return issue_on_node(d, &placed);
}

/* --- Following --- */

static int set_running(Dispatcher *d, const Run *run) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(command_done) Command command = COMMAND_NULL;
        int r;

        assert(d);
        assert(run);

        r = dispatcher_begin(d, &tx);
        if (r < 0)
                return r;
        r = command_get(d->store, run->command_id, &command);
        if (r != 0)
                return r < 0 ? r : 0;
        r = run_set_running(d->store, run->id, command.accepted > 0 ? command.accepted : now_wall());
        if (r == 0)
                r = say(d, run, "Node '%s' runs it, attempt %" PRIu32, node_name(run, command.node_id),
                        command.attempt);
        if (r == 0)
                r = store_commit(&tx);
        if (r != 0)
                return r < 0 ? r : 0;
        dispatcher_log(d, LOG_INFO, MESSAGE_RUN_STARTED,
                       LOG_FIELDS(LOG_RUN(run->id), LOG_TASK(run->task_id), LOG_NODE(command.node_id),
                                  LOG_COMMAND(run->command_id), LOG_ATTEMPT(command.attempt)),
                       "Run %" PRIu64 " of task '%s' runs on node '%s'", run->id, strempty(run->task_name),
                       node_name(run, command.node_id));
        dispatcher_tell_run(d, run->id, RUN_RUNNING);
        return 0;
}

static int set_dispatched(Dispatcher *d, const Run *run) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        r = dispatcher_begin(d, &tx);
        if (r >= 0)
                r = run_set_dispatched(d->store, run->id, now_wall());
        if (r == 0)
                r = store_commit(&tx);
        if (r != 0)
                return r < 0 ? r : 0;
        dispatcher_tell_run(d, run->id, RUN_DISPATCHED);
        return 0;
}

/* Its delivery was lost, or its agent never came to begin with it: it waits for its node again. */
static int set_queued(Dispatcher *d, const Run *run) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(command_done) Command command = COMMAND_NULL;
        int r;

        assert(d);
        assert(run);

        r = dispatcher_begin(d, &tx);
        if (r < 0)
                return r;
        r = command_get(d->store, run->command_id, &command);
        if (r == 0)
                r = run_set_queued(d->store, run->id);
        if (r == 0)
                r = say(d, run, "It was not begun and waits for node '%s' again",
                        node_name(run, command.node_id));
        if (r == 0)
                r = store_commit(&tx);
        if (r != 0)
                return r < 0 ? r : 0;
        dispatcher_tell_run(d, run->id, RUN_QUEUED);
        return 0;
}

static int cancel_command(Dispatcher *d, const Run *run) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        bool ended = false;
        int r;

        assert(d);
        assert(run);

        r = command_get(d->store, run->command_id, &command);
        if (r == 0)
                r = queue_cancel(d->store, run->command_id, now_wall(), &ended);
        /* Wakes a waiting agent's API, which has the list of what to cancel. */
        if (r == 0 && !ended)
                dispatcher_tell_queued(d, command.node_id);
        if (r == 0 && ended)
                return dispatcher_settle(d);
        return r < 0 ? r : 0;
}

static int follow(Dispatcher *d, const Run *run, int state) {
        int r = 0;

        assert(run);

        if (state == COMMAND_PENDING && (run->state == RUN_DISPATCHED || run->state == RUN_RUNNING))
                r = set_queued(d, run);
        else if (state == COMMAND_DISPATCHED && run->state == RUN_QUEUED)
                r = set_dispatched(d, run);
        else if (state == COMMAND_ACCEPTED && run->state != RUN_RUNNING)
                r = set_running(d, run);
        if (r < 0)
                return r;
        return run->cancel && !command_state_is_final((CommandState) state) ? cancel_command(d, run) : 0;
}

static int miss(Dispatcher *d, const Run *run) {
        _cleanup_(freep) char *text = NULL;
        int r;

        if (!run->waiting)
                return finish(d, run, RUN_MISSED, "DEADLINE_PASSED",
                              "The run waited for its node until its time was over; was the agent offline?");
        r = asprintf_safe(&text, "The run waited until its time was over for %s", run->waiting);
        return r < 0 ? r : finish(d, run, RUN_MISSED, "DEADLINE_PASSED", text);
}

static int work(Dispatcher *d, const RunWork *w) {
        if (w->command_state >= 0)
                return follow(d, &w->run, w->command_state);
        if (w->run.cancel)
                return finish(d, &w->run, RUN_CANCELLED, "CANCELLED",
                              w->run.started > 0 ? "Cancelled between its two parts" :
                                                   "Cancelled before it started");
        if (w->run.deadline > 0 && w->run.deadline <= now_wall())
                return miss(d, &w->run);
        return issue(d, &w->run);
}

static int work_on_all(Dispatcher *d) {
        uint64_t after = 0;

        assert(d);

        for (;;) {
                _cleanup_(run_work_list_done) RunWorkList list = RUN_WORK_LIST_NULL;
                int r;

                r = runs_list_work(d->store, after, DISPATCHER_PAGE, &list);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < list.n; i++) {
                        after = list.items[i].run.id;
                        r = dispatcher_group_step(d, work(d, list.items + i));
                        if (r == -EBUSY)
                                return r;
                        if (r < 0)
                                log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED,
                                                 LOG_FIELDS(LOG_RUN(after)),
                                                 "Failed to work on run %" PRIu64 ", trying again: %m",
                                                 after);
                }
                if (list.n < DISPATCHER_PAGE)
                        return 0;
        }
}

int dispatcher_issue(Dispatcher *d) {
        int r, end;

        r = work_on_all(d);
        end = dispatcher_group_commit(d);
        return r < 0 ? r : end;
}

int dispatcher_cancel(Dispatcher *d, uint64_t id, const Actor *by) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(run_done) Run run = RUN_NULL;
        AuditEntry audit = {
                .at = now_wall(),
                .user_id = by->user_id,
                .username = by->username,
                .address = by->address,
                .action = (char *) "run.cancel",
                .object_type = (char *) "run",
                .object_id = id,
        };
        int r;

        assert(d);
        assert(by);

        r = store_begin(d->store, &tx);
        if (r < 0)
                return r;
        r = run_get(d->store, id, &run);
        if (r == 0)
                r = run_set_cancel(d->store, id);
        if (r != 0)
                return r;
        audit.object_name = run.task_name;
        r = audit_add(d->store, &audit);
        if (r == 0)
                r = run_log_add(d->store, id, audit.at, "notice", "Cancellation was asked for");
        if (r < 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        dispatcher_kick(d);
        return 0;
}
