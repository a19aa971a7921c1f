/* SPDX-License-Identifier: Apache-2.0 */

/* Old backups. A backup that succeeded, of a task that does not keep all, is marked by whoever ended it;
 * here the run that removes what is not kept is queued behind it, and the mark is taken away in the same
 * commit. */

#include "base/alloc.h"
#include "services/scheduler/decide.h"
#include "services/scheduler/scheduler.h"
#include "sys/log.h"
#include "wire/prune.h"

#define RETAIN_PAGE 100

static int add_prune(Scheduler *s, const Run *source, const char *request, usec_t now, uint64_t *ret) {
        const RunNew n = {
                .kind = RUN_PRUNE,
                .state = RUN_QUEUED,
                .node_id = source->node_id,
                .origin = "retention",
                .source_run = source->id,
                .deadline = decide_deadline(0, now),
                .request = request,
        };
        int r;

        r = run_prune_waits(s->store, source->node_id, source->task_id);
        if (r != 0) /* the one that waits will see this backup, too */
                return r < 0 ? r : 0;
        r = run_add(s->store, &n, now, ret);
        if (r == 0)
                scheduler_log_queued(&n, *ret);
        return r < 0 ? r : 0; /* its node was deleted: nothing to do there */
}

static int retain(Scheduler *s, const Run *source, const char *request) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        uint64_t run = 0;
        int r;

        assert(s);
        assert(source);

        r = store_begin(s->store, &tx);
        if (r >= 0)
                r = add_prune(s, source, request, now_usec(CLOCK_REALTIME), &run);
        if (r >= 0)
                r = run_set_retained(s->store, source->id);
        if (r >= 0)
                r = store_commit(&tx);
        if (r >= 0 && run > 0)
                scheduler_bus_emit_queued(s, run);
        return r;
}

int scheduler_retain(Scheduler *s) {
        _cleanup_(freep) char *request = NULL;
        _cleanup_json_ json_t *json = NULL;
        bool more = true;
        int r;

        assert(s);

        r = prune_request_build(PRUNE_DUE, &json);
        if (r >= 0)
                r = json_format(json, &request, NULL);
        while (r >= 0 && more) {
                _cleanup_(run_list_done) RunList list = RUN_LIST_NULL;

                r = runs_list_retain(s->store, RETAIN_PAGE, &list);
                for (size_t i = 0; i < list.n && r >= 0; i++)
                        r = retain(s, list.items + i, request);
                more = list.n == RETAIN_PAGE;
        }
        return r;
}
