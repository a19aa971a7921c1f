/* SPDX-License-Identifier: Apache-2.0 */

/* test_task: whether a run of a task would find what it needs here. Targets are tried side by side while the
 * source is looked at: one that does not answer must not keep a person from what the others say. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>

#include "agent/job/kinds.h"
#include "agent/job/look.h"
#include "agent/job/targets.h"
#include "base/alloc.h"
#include "base/text.h"
#include "base/times.h"
#include "wire/check.h"
#include "wire/task-test.h"

/* Who asked waits for 15 s. */
#define LOOK_TIME (8 * USEC_PER_SEC)
#define TARGETS_TIME (10 * USEC_PER_SEC)
#define TARGET_RETRY (3 * USEC_PER_SEC)
#define POLL (100 * USEC_PER_MSEC)

/* One target. */
typedef struct Trial {
        Storage *storage; /* NULL: it could not be opened */
        pthread_t thread;
        bool started;
        StorageUsage usage;
        Failure failure;
        int result;
} Trial;

typedef struct Trials {
        Trial *items;
        size_t n;
        usec_t until;          /* CLOCK_MONOTONIC */
        atomic_bool cancelled; /* the time is over, or nobody waits */
        bool late;             /* the time was over */
} Trials;

/* --- Targets ------------------------------------------------------------------------------------------ */

static void *try_main(void *userdata) {
        Trial *t = ASSERT_PTR(userdata);

        t->result = storage_probe(t->storage, &t->usage, &t->failure);
        return NULL;
}

/* false: it goes on. */
static bool wait_for(Trial *t, usec_t until) {
        const struct timespec at = { .tv_sec = (time_t) (until / USEC_PER_SEC),
                                     .tv_nsec = (long) (until % USEC_PER_SEC) * 1000 };

        if (t->started && pthread_clockjoin_np(t->thread, NULL, CLOCK_MONOTONIC, &at) != 0)
                return false;
        t->started = false;
        return true;
}

/* A storage ends soon after the flag is set. */
static void wait_for_all(Trials *t, const atomic_bool *cancelled) {
        for (size_t i = 0; i < t->n; i++)
                for (;;) {
                        usec_t now = now_usec(CLOCK_MONOTONIC);

                        if (now >= t->until || atomic_load(cancelled))
                                break;
                        if (wait_for(t->items + i, usec_add(now, POLL)))
                                break;
                }
        t->late = now_usec(CLOCK_MONOTONIC) >= t->until;
        atomic_store(&t->cancelled, true);
        for (size_t i = 0; i < t->n; i++)
                if (t->items[i].started) {
                        (void) pthread_join(t->items[i].thread, NULL);
                        t->items[i].started = false;
                }
}

static void trials_done(Trials *t) {
        atomic_store(&t->cancelled, true);
        for (size_t i = 0; i < t->n; i++) {
                if (t->items[i].started)
                        (void) pthread_join(t->items[i].thread, NULL);
                storage_free(t->items[i].storage);
                failure_done(&t->items[i].failure);
        }
        free(t->items);
}

static int start_trials(const JobRun *run, const TaskTestSpec *spec, Trials *t) {
        const JobTargetLimits limits = {
                .cancel = &t->cancelled,
                .stall = TARGETS_TIME,
                .retry = TARGET_RETRY,
                .patience = TARGETS_TIME,
        };

        t->items = new0(Trial, MAX(spec->n_targets, (size_t) 1));
        if (!t->items)
                return -ENOMEM;
        for (size_t i = 0; i < spec->n_targets; i++) {
                Trial *trial = t->items + t->n++;

                trial->result = job_target_open_within(run, spec->targets + i, &limits, &trial->storage,
                                                       &trial->failure);
                if (trial->result == -ENOMEM)
                        return -ENOMEM;
                if (trial->result < 0)
                        continue;
                trial->result = -pthread_create(&trial->thread, NULL, try_main, trial);
                if (trial->result < 0)
                        return trial->result;
                trial->started = true;
        }
        return 0;
}

static int tell_trial(const Trials *all, const SpecTarget *target, const Trial *t, json_t *items) {
        _cleanup_failure_ Failure late = FAILURE_NULL;
        const char *name = strempty(target->name);

        if (t->result == -ENOMEM)
                return -ENOMEM;
        if (t->result == -ECANCELED && all->late) {
                (void) failure_set(&late, -ETIMEDOUT, "STORAGE_STALLED",
                                   "Target '%s' did not answer within %u s", name,
                                   (unsigned) (TARGETS_TIME / USEC_PER_SEC));
                return check_add_failure(items, "target", &late, -ETIMEDOUT);
        }
        if (t->result < 0)
                return check_add_failure(items, "target", &t->failure, t->result);
        if (t->usage.total_bytes == 0)
                return check_add(items, "target", CHECK_STATE_OK, NULL, "Target '%s' can be written", name);
        return check_add(items, "target", CHECK_STATE_OK, NULL,
                         "Target '%s' can be written, %" PRIu64 " MiB are free", name,
                         t->usage.free_bytes >> 20);
}

/* --- The rest ----------------------------------------------------------------------------------------- */

/* What lies under the names is the keeper's to look at, who alone may. */
static int look_at_hooks(const JobRun *run, const TaskHooks *hooks, json_t *items) {
        char *const *const lists[] = { hooks->pre, hooks->post };
        int r = 0;

        if (!task_hooks_any(hooks))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                STRV_FOREACH(name, lists[i]) {
                        _cleanup_failure_ Failure failure = FAILURE_NULL;

                        r = policy_check_hook(run->policy, *name, &failure);
                        if (r < 0) /* the first one will do */
                                return check_add_failure(items, "hooks", &failure, r);
                }
        return check_add(items, "hooks", CHECK_STATE_OK, NULL, "The policy of this host allows them");
}

static int look_at_source(const JobRun *run, const TaskTestSpec *spec, json_t *items) {
        const Look look = {
                .run = run,
                .type = spec->type,
                .source = &spec->database,
                .items = items,
                .until = usec_add(now_usec(CLOCK_MONOTONIC), LOOK_TIME),
        };

        if (source_type_has_server(spec->type))
                return look_at_server(&look);
        return spec->type == SOURCE_SQLITE ? look_at_sqlite(&look) : look_at_files(&look, spec->paths);
}

static int test_task(const JobRun *run, JobOutcome *ret, Failure *reterr_failure) {
        _cleanup_(task_test_spec_done) TaskTestSpec spec = TASK_TEST_SPEC_NULL;
        const atomic_bool *cancelled = job_link_cancelled(run->link);
        _cleanup_json_ json_t *items = json_array();
        _cleanup_(trials_done) Trials trials = {};
        int r;

        assert(ret);

        if (!items)
                return -ENOMEM;
        trials.until = usec_add(now_usec(CLOCK_MONOTONIC), TARGETS_TIME);
        r = task_test_spec_parse(run->start->spec, &spec, reterr_failure);
        if (r >= 0)
                r = start_trials(run, &spec, &trials);
        if (r >= 0)
                r = look_at_source(run, &spec, items);
        if (r >= 0)
                r = look_at_hooks(run, &spec.hooks, items);
        if (r < 0)
                return r;
        wait_for_all(&trials, cancelled);
        if (atomic_load(cancelled))
                return -ECANCELED;
        for (size_t i = 0; i < trials.n && r >= 0; i++)
                r = tell_trial(&trials, spec.targets + i, trials.items + i, items);
        if (r < 0)
                return r;
        ret->result = json_pack("{s:O}", "items", items);
        return ret->result ? 0 : -ENOMEM;
}

void job_kind_test_task(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = test_task(run, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
