/* SPDX-License-Identifier: Apache-2.0 */

/* Runs that somebody asked for. */

#include "base/alloc.h"
#include "base/text.h"
#include "services/scheduler/decide.h"
#include "services/scheduler/scheduler.h"
#include "store/audit.h"
#include "sys/log.h"
#include "wire/names.h"

void scheduler_log_queued(const RunNew *n, uint64_t run) {
        log_struct(LOG_INFO, MESSAGE_RUN_QUEUED, LOG_FIELDS(LOG_RUN(run), LOG_TASK(n->task_id)),
                   "Run %" PRIu64 " is queued (%s, %s)", run, run_kind_to_string(n->kind), n->origin);
}

static int check_source(Scheduler *s, RunRequest *request, Failure *reterr_failure) {
        _cleanup_(run_done) Run source = RUN_NULL;
        int r;

        assert(s);
        assert(request);

        r = run_get(s->store, request->source_run, &source);
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND) {
                failure_set(reterr_failure, 0, "RUN_NOT_FOUND", "There is no run %" PRIu64,
                            request->source_run);
                return RUN_E_SOURCE;
        }
        if (source.kind != RUN_BACKUP || (source.state != RUN_SUCCEEDED && source.state != RUN_PARTIAL)) {
                failure_set(reterr_failure, 0, "RUN_NOT_RESTORABLE",
                            "Run %" PRIu64 " left no archive that could be restored: it is a %s that is %s",
                            source.id, run_kind_to_string(source.kind), run_state_to_string(source.state));
                return STORE_E_STATE;
        }
        if (request->node_id == 0)
                request->node_id = source.node_id;
        return 0;
}

static int explain_refusal(int outcome, const RunRequest *request, Failure *reterr_failure) {
        assert(request);

        if (outcome == RUN_E_OVERLAP)
                failure_set(reterr_failure, 0, "RUN_ACTIVE",
                            "A run of task %" PRIu64 " has not ended; wait for it or cancel it",
                            request->task_id);
        else if (outcome == RUN_E_TASK)
                failure_set(reterr_failure, 0, "TASK_NOT_FOUND", "There is no task %" PRIu64,
                            request->task_id);
        else if (outcome == RUN_E_SOURCE)
                failure_set(reterr_failure, 0, "RUN_NOT_FOUND", "There is no run %" PRIu64,
                            request->source_run);
        else if (outcome == STORE_E_NOT_FOUND)
                failure_set(reterr_failure, 0, "NODE_NOT_FOUND", "There is no node %" PRIu64,
                            request->node_id);
        else
                failure_set(reterr_failure, 0, "RUN_REFUSED", "The run cannot be queued");
        return outcome;
}

static const char *audit_action(RunKind kind) {
        switch (kind) {
        case RUN_BACKUP:
                return "task.run";
        case RUN_RESTORE:
                return "run.restore";
        case RUN_VERIFY:
                return "run.verify";
        case RUN_PRUNE:
                return "run.prune";
        case _RUN_KIND_MAX:
        case _RUN_KIND_INVALID:
                break;
        }
        return "run.unknown";
}

static int audit_request(Scheduler *s, const RunRequest *request, uint64_t run, usec_t now) {
        bool backup = request->kind == RUN_BACKUP;
        AuditEntry entry = {
                .at = now,
                .user_id = request->by.user_id,
                .username = request->by.username,
                .address = request->by.address,
                .action = (char *) audit_action(request->kind),
                .object_type = (char *) (backup ? "task" : "run"),
                .object_id = backup ? request->task_id : request->source_run,
        };
        _cleanup_(freep) char *detail = NULL;
        _cleanup_(run_done) Run added = RUN_NULL;
        int r;

        assert(s);

        r = run_get(s->store, run, &added);
        if (r < 0)
                return r;
        r = asprintf_safe(&detail, "{\"run_id\":%" PRIu64 "}", run);
        if (r < 0)
                return r;
        entry.object_name = added.task_name;
        entry.detail = detail;
        return audit_add(s->store, &entry);
}

int scheduler_queue(Scheduler *s, const RunRequest *request, uint64_t *ret_run, Failure *reterr_failure) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        RunRequest asked = *request; /* borrows */
        usec_t now = now_usec(CLOCK_REALTIME);
        RunNew n = {
                .kind = asked.kind,
                .state = RUN_QUEUED,
                .origin = "manual",
                .user_id = asked.by.user_id,
                .username = asked.by.username,
                .deadline = decide_deadline(0, now),
        };
        uint64_t run;
        int r;

        assert(s);
        assert(ret_run);

        r = store_begin(s->store, &tx);
        if (r < 0)
                return r;
        if (asked.kind != RUN_BACKUP) {
                r = check_source(s, &asked, reterr_failure);
                if (r != 0)
                        return r;
                n.source_run = asked.source_run;
                n.node_id = asked.node_id;
                n.request = asked.details;
        } else
                n.task_id = asked.task_id;
        r = run_add(s->store, &n, now, &run);
        if (r > 0)
                return explain_refusal(r, &asked, reterr_failure);
        if (r < 0)
                return r;
        r = audit_request(s, &asked, run, now);
        if (r < 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        scheduler_log_queued(&n, run);
        scheduler_bus_emit_queued(s, run);
        *ret_run = run;
        return 0;
}
