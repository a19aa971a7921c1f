/* SPDX-License-Identifier: Apache-2.0 */

/* Ended commands become ended runs. A command is settled once, in one transaction with its run's end, its
 * last line of log and the end of its capabilities: killed in between, the dispatcher finds it unsettled
 * and does all of it again. Words to the journal and the bus follow the commit, so nobody is told what did
 * not happen. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/dispatcher.h"
#include "store/run-log.h"
#include "sys/log.h"
#include "wire/names.h"

static usec_t now_wall(void) {
        return now_usec(CLOCK_REALTIME);
}

/* How the journal and the run's log speak of an end. */
typedef struct EndWords {
        int level;
        const char *message_id;
        const char *log_level;
} EndWords;

static EndWords end_words(RunState state) {
        switch (state) {
        case RUN_SUCCEEDED:
                return (EndWords){ LOG_INFO, MESSAGE_RUN_SUCCEEDED, "info" };
        case RUN_PARTIAL:
                return (EndWords){ LOG_WARNING, MESSAGE_RUN_PARTIAL, "warning" };
        case RUN_CANCELLED:
                return (EndWords){ LOG_NOTICE, MESSAGE_RUN_CANCELLED, "notice" };
        case RUN_MISSED:
                return (EndWords){ LOG_WARNING, MESSAGE_RUN_MISSED, "warning" };
        case RUN_INTERRUPTED:
                return (EndWords){ LOG_WARNING, MESSAGE_RUN_INTERRUPTED, "error" };
        case RUN_FAILED:
        case RUN_QUEUED:
        case RUN_DISPATCHED:
        case RUN_RUNNING:
        case _RUN_STATE_MAX:
        case _RUN_STATE_INVALID:
                break;
        }
        return (EndWords){ LOG_ERR, MESSAGE_RUN_FAILED, "error" };
}

int dispatcher_end_run(Dispatcher *d, const Run *run, const RunEnd *end, usec_t now) {
        const char *state = run_state_to_string(end->state);
        _cleanup_(freep) char *text = NULL;
        int r;

        assert(d);
        assert(run);

        r = run_finish(d->store, run->id, end, now);
        if (r != 0)
                return r;
        r = asprintf_safe(&text, "The run has ended: %s%s%s", state, end->error ? ": " : "",
                          strempty(end->error));
        if (r < 0)
                return r;
        r = run_log_add(d->store, run->id, now, end_words(end->state).log_level, text);
        return r < 0 ? r : 0;
}

void dispatcher_tell_end(Dispatcher *d, const Run *run, const RunEnd *end) {
        EndWords words = end_words(end->state);

        assert(d);
        assert(run);

        dispatcher_log(d, words.level, words.message_id,
                       LOG_FIELDS(LOG_RUN(run->id), LOG_TASK(run->task_id), LOG_NODE(run->node_id),
                                  LOG_STATE(run_state_to_string(end->state))),
                       "Run %" PRIu64 " of task '%s' on node '%s' is %s%s%s", run->id,
                       strempty(run->task_name), strempty(run->node_name), run_state_to_string(end->state),
                       end->error ? ": " : "", strempty(end->error));
        dispatcher_tell_run(d, run->id, end->state);
}

/* --- Runs of two parts --- */

static bool is_part(const Command *c, uint64_t last) {
        return c->id != last &&
                        (c->state == COMMAND_SUCCEEDED || c->state == COMMAND_PARTIAL ||
                         c->state == COMMAND_FAILED);
}

int dispatcher_add_parts(Dispatcher *d, const Run *run, uint64_t last, Outcome *o) {
        const RunTargetList none = RUN_TARGET_LIST_NULL;
        _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
        const CommandFilter filter = { .run_id = run->id };
        int r;

        assert(d);
        assert(o);

        if (run->kind != RUN_PRUNE)
                return 0;
        r = queue_list(d->store, &filter, /* after_id= */ 0, STORE_LIST_MAX, &list);
        for (size_t i = 0; i < list.n && r >= 0; i++) {
                _cleanup_(command_done) Command command = COMMAND_NULL;
                _cleanup_(outcome_done) Outcome part = {};

                if (!is_part(list.items + i, last))
                        continue;
                r = command_get(d->store, list.items[i].id, &command); /* with its result */
                if (r == 0)
                        r = outcome_judge(run, &none, &command, &part);
                if (r == 0)
                        r = outcome_add(o, &part);
        }
        return MIN(r, 0);
}

static int go_on(Dispatcher *d, const Run *run, usec_t now) {
        _cleanup_(freep) char *text = NULL;
        int r;

        assert(d);
        assert(run);

        r = run_go_on(d->store, run->id);
        if (r != 0)
                return r;
        r = asprintf_safe(&text, "The repositories behind the relay are done; the others are for node '%s'",
                          strempty(run->node_name));
        if (r >= 0)
                r = run_log_add(d->store, run->id, now, "info", text);
        return MIN(r, 0);
}

/* Whatever one part came to, the other one is done, unless its end was not seen. */
static int settle_prune(Dispatcher *d, const Run *run, const Command *c, Outcome *o, bool *ret_goes_on) {
        const OrderContext x = dispatcher_order_context(d);
        RunState state = o->end.state;
        bool more = false;
        int r;

        assert(run);
        assert(c);
        assert(ret_goes_on);

        r = dispatcher_take_removed(d, run, c);
        if (r >= 0 && (state == RUN_SUCCEEDED || state == RUN_PARTIAL || state == RUN_FAILED))
                r = order_prune_goes_on(&x, run, c, &more);
        if (r < 0)
                return r;
        if (more) {
                *ret_goes_on = true;
                return go_on(d, run, now_wall());
        }
        r = dispatcher_add_parts(d, run, c->id, o);
        return r < 0 ? r : dispatcher_end_run(d, run, &o->end, c->finished > 0 ? c->finished : now_wall());
}

/* The command's run ends as the command did, or goes on with its next part. Gives 1 when the run had ended
 * before, which is fine. */
static int settle_run(Dispatcher *d, const Run *run, const Command *c, Outcome *ret, bool *ret_goes_on) {
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        int r;

        assert(d);
        assert(run);
        assert(c);
        assert(ret);

        r = run_targets_get(d->store, run->id, &targets);
        if (r < 0)
                return r;
        r = outcome_judge(run, &targets, c, ret);
        if (r < 0)
                return r;
        if (run->kind == RUN_PRUNE)
                return settle_prune(d, run, c, ret, ret_goes_on);
        return dispatcher_end_run(d, run, &ret->end, c->finished > 0 ? c->finished : now_wall());
}

/* A command that is not the run's newest says nothing about the run. */
static bool is_current(const Run *run, const Command *c) {
        return !run_state_is_final(run->state) && run->command_id == c->id;
}

static int settle(Dispatcher *d, const Command *c) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(outcome_done) Outcome outcome = {};
        _cleanup_(run_done) Run run = RUN_NULL;
        bool ended = false, goes_on = false;
        int r;

        assert(d);
        assert(c);

        r = dispatcher_begin(d, &tx);
        if (r < 0)
                return r;
        if (c->run_id > 0) {
                r = run_get(d->store, c->run_id, &run);
                if (r < 0)
                        return r;
                if (r == 0 && is_current(&run, c)) {
                        r = settle_run(d, &run, c, &outcome, &goes_on);
                        if (r < 0)
                                return r;
                        ended = r == 0; /* at least this part of it */
                }
        }
        r = queue_settle(d->store, c->id);
        if (r != 0)
                return r < 0 ? r : 0;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        if (c->state == COMMAND_TIMEOUT)
                dispatcher_log(d, LOG_WARNING, MESSAGE_COMMAND_TIMEOUT,
                               LOG_FIELDS(LOG_COMMAND(c->id), LOG_RUN(c->run_id), LOG_NODE(c->node_id)),
                               "Command %" PRIu64 " was given up: its agent was not heard for ten minutes",
                               c->id);
        dispatcher_tell_finished(d, c->id, c->state);
        if (ended && goes_on)
                dispatcher_tell_run(d, run.id, RUN_QUEUED);
        else if (ended)
                dispatcher_tell_end(d, &run, &outcome.end);
        return 0;
}

static int settle_all(Dispatcher *d) {
        uint64_t after = 0;

        assert(d);

        for (;;) {
                _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
                int r;

                r = queue_list_unsettled(d->store, after, DISPATCHER_PAGE, &list);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < list.n; i++) {
                        after = list.items[i].id;
                        r = dispatcher_group_step(d, settle(d, list.items + i));
                        if (r == -EBUSY)
                                return r;
                        if (r < 0)
                                log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED,
                                                 LOG_FIELDS(LOG_COMMAND(after)),
                                                 "Failed to settle command %" PRIu64 ", trying again: %m",
                                                 after);
                }
                if (list.n < DISPATCHER_PAGE)
                        return 0;
        }
}

int dispatcher_settle(Dispatcher *d) {
        int r, end;

        r = settle_all(d);
        end = dispatcher_group_commit(d);
        return r < 0 ? r : end;
}
