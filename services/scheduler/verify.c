/* SPDX-License-Identifier: Apache-2.0 */

/* Checks of repositories by a schedule. Each is about the newest backup of its task, works where that was
 * written, and reads one share of the data: the one behind that of the check before, as the runs themselves
 * say, so that as many checks as there are shares read all of it. A check that was not carried out leaves
 * its share to the next one. */

#include "base/alloc.h"
#include "base/text.h"
#include "services/scheduler/scheduler.h"
#include "services/scheduler/share.h"
#include "store/run.h"
#include "sys/log.h"

static int make_request(Scheduler *s, const Schedule *row, char **ret) {
        _cleanup_(freep) char *before = NULL;
        int r;

        assert(s);
        assert(row);

        r = run_last_check(s->store, row->task_id, &before);
        if (r < 0)
                return r;
        return share_next(before, row->shares, ret);
}

int scheduler_add_verify(Scheduler *s, const Schedule *row, const Decision *d, uint64_t *ret_run) {
        RunNew n = {
                .kind = RUN_VERIFY,
                .state = RUN_QUEUED,
                .origin = d->caught_up ? "catch_up" : "schedule",
                .scheduled_for = d->run_for,
                .deadline = d->deadline,
        };
        _cleanup_(freep) char *request = NULL;
        int r;

        assert(s);
        assert(row);
        assert(ret_run);

        r = run_is_open(s->store, row->task_id, RUN_VERIFY);
        if (r != 0)
                return r < 0 ? r : (int) RUN_E_OVERLAP;
        r = run_newest_stored(s->store, row->task_id, &n.source_run);
        if (r == 0)
                r = make_request(s, row, &request);
        n.request = request;
        if (r == 0)
                r = run_add(s->store, &n, now_usec(CLOCK_REALTIME), ret_run);
        if (r == 0)
                scheduler_log_queued(&n, *ret_run);
        if (r == STORE_E_NOT_FOUND)
                log_struct(LOG_INFO, NULL, LOG_FIELDS(LOG_TASK(row->task_id)),
                           "Task '%s' has no backup in a repository of a node that is there: nothing to"
                           " check",
                           strempty(row->task_name));
        return r;
}
