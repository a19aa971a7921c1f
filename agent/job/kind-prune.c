/* SPDX-License-Identifier: Apache-2.0 */

/* prune: in each repository that holds a backup the snapshots of its task that are not kept are forgotten,
 * and where the command says so the space of what nobody refers to is given back. What goes wrong in one of
 * them does not keep the others from it. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "agent/job/kinds.h"
#include "agent/job/repositories.h"
#include "base/alloc.h"
#include "base/text.h"
#include "repository/forget-run.h"
#include "repository/id-set.h"
#include "repository/prune.h"
#include "sys/log.h"
#include "wire/prune.h"

/* At a time, of packs that are written anew. */
#define PRUNE_UPLOADS 2

typedef struct Prune {
        const JobRun *run;
        PruneSpec spec;
        ForgetPolicy policy;
        JobLockOwner owner; /* of locks */
        PruneOutcome outcome;
        size_t n_listed; /* snapshots, of all repositories */
        unsigned bad;
        Failure first; /* of the bad ones */
} Prune;

static void prune_done(Prune *p) {
        prune_spec_done(&p->spec);
        prune_outcome_done(&p->outcome);
        failure_done(&p->first);
        job_lock_owner_done(&p->owner);
}

static int read_policy(Prune *p, Failure *reterr_failure) {
        const Retention *kept = &p->spec.retention;

        assert(p);

        p->policy = (ForgetPolicy){ .keep = {
                                                    [FORGET_LAST] = kept->last,
                                                    [FORGET_HOURLY] = kept->hourly,
                                                    [FORGET_DAILY] = kept->daily,
                                                    [FORGET_WEEKLY] = kept->weekly,
                                                    [FORGET_MONTHLY] = kept->monthly,
                                                    [FORGET_YEARLY] = kept->yearly,
                                    } };
        if (isempty(kept->within))
                return 0;
        return forget_span_parse(kept->within, &p->policy.within[FORGET_LAST], reterr_failure);
}

/* --- Forget ------------------------------------------------------------------------------------------ */

static void tell_forgotten(Prune *p, const char *target, const RepositoryForgetResult *found) {
        const ResultFigures *figures = &p->outcome.base.figures;

        assert(figures);

        for (size_t i = 0; i < found->n_items; i++) {
                char id[ID_HEX_SIZE], time[MOMENT_TEXT_MAX];

                if (found->items[i].removed)
                        job_link_log(p->run->link, LOG_INFO, "Forgot snapshot %s of %s on %s",
                                     id_to_hex(&found->items[i].id, id),
                                     moment_format(&found->items[i].snapshot.time, time), target);
        }
        job_link_log(p->run->link, LOG_INFO,
                     "The repository on %s: forgot %" PRIu64 " snapshots, %" PRIu64 " are kept", target,
                     found->removed, found->kept);
        if (found->refused > 0)
                job_link_log(p->run->link, LOG_WARNING,
                             "The repository on %s: %" PRIu64 " snapshots cannot be removed: %s", target,
                             found->refused, strempty(found->refusal));
}

/* Removed ones are added to gone. */
static int forget(Prune *p, const char *target, Repository *repository, PruneTarget *t, IdSet *gone,
                  Failure *f) {
        _cleanup_(repository_forget_result_done) RepositoryForgetResult found =
                        REPOSITORY_FORGET_RESULT_NULL;
        char *const tags[] = { p->spec.tag, NULL };
        const RepositoryForgetArgs args = {
                .repository = repository,
                .policy = &p->policy,
                .tags = tags,
                .now = moment_now(),
                .lock_owner = job_lock_owner(&p->owner),
                .username = "backupx",
                .cancel = job_link_cancelled(p->run->link),
        };
        int r, k = 0;

        assert(t);

        r = repository_forget(&args, &found, f);
        tell_forgotten(p, target, &found);
        t->removed = found.removed;
        p->outcome.base.figures.files += found.removed;
        for (size_t i = 0; i < found.n_items && k >= 0; i++)
                if (found.items[i].removed)
                        k = id_set_add(gone, &found.items[i].id, 0);
        id_set_sort(gone);
        return r < 0 ? r : k;
}

/* --- What is there ----------------------------------------------------------------------------------- */

static int name_all(const IdSet *there, const IdSet *gone, json_t *array) {
        for (size_t i = 0; i < there->n; i++) {
                char text[ID_HEX_SIZE];

                if (id_set_has(gone, &there->items[i].id))
                        continue; /* listed still, on a storage whose lists are behind */
                if (json_append(array, json_string(id_to_hex(&there->items[i].id, text))) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Whoever took part in the locking has waited for lists that are behind: each older snapshot is listed. */
static int list_snapshots(Prune *p, Repository *repository, const IdSet *gone, PruneTarget *t, Failure *f) {
        _cleanup_(id_set_done) IdSet there = ID_SET_NULL;
        _cleanup_json_ json_t *array = json_array();
        int r;

        assert(p);
        assert(t);

        r = array ? id_set_list(&there, repository, REPO_FILE_SNAPSHOT, f) : -ENOMEM;
        if (r < 0)
                return r;
        p->n_listed += there.n;
        if (p->n_listed > PRUNE_SNAPSHOTS_MAX) {
                job_link_log(p->run->link, LOG_WARNING,
                             "There are more than %d snapshots: the master is not told which",
                             PRUNE_SNAPSHOTS_MAX);
                return 0;
        }
        r = name_all(&there, gone, array);
        if (r >= 0)
                t->snapshots = TAKE_PTR(array);
        return r;
}

/* --- Space ------------------------------------------------------------------------------------------- */

static void tell_pruned(Prune *p, const char *target, const RepositoryPruneResult *found) {
        job_link_log(p->run->link, LOG_INFO,
                     "The repository on %s: removed %" PRIu64 " packs (%" PRIu64 " bytes), wrote %" PRIu64
                     " bytes of them anew, %" PRIu64 " packs stay",
                     target, found->packs_removed, found->bytes_removed, found->bytes_written,
                     found->packs_kept);
        if (found->packs_hidden > 0)
                job_link_log(p->run->link, LOG_WARNING,
                             "The repository on %s: %" PRIu64 " packs (%" PRIu64
                             " bytes) are hidden and kept as older versions by the storage",
                             target, found->packs_hidden, found->bytes_hidden);
        if (found->packs_refused + found->indexes_refused > 0)
                job_link_log(p->run->link, LOG_WARNING,
                             "The repository on %s: %" PRIu64 " packs and indexes cannot be removed: %s",
                             target, found->packs_refused + found->indexes_refused,
                             strempty(found->refusal));
}

static int give_back(Prune *p, const char *target, Repository *repository, Failure *f) {
        _cleanup_(repository_prune_result_done) RepositoryPruneResult found = REPOSITORY_PRUNE_RESULT_NULL;
        const RepositoryPruneArgs args = {
                .repository = repository,
                .lock_owner = job_lock_owner(&p->owner),
                .username = "backupx",
                .unused_percent = PRUNE_UNUSED_PERCENT_DEFAULT,
                .repack_max = UINT64_MAX,
                .uploads = PRUNE_UPLOADS,
                .cancel = job_link_cancelled(p->run->link),
        };
        int r;

        r = repository_prune(&args, &found, f);
        p->outcome.base.figures.bytes_written += found.bytes_written;
        if (r >= 0)
                tell_pruned(p, target, &found);
        return r;
}

/* --- Repositories ------------------------------------------------------------------------------------ */

static int work_on(Prune *p, const SnapshotCopy *copy, PruneTarget *t, Failure *f) {
        _cleanup_(job_snapshot_done) JobSnapshot snapshot = {};
        _cleanup_(id_set_done) IdSet gone = ID_SET_NULL;
        const char *name = copy->target.name;
        int r, k;

        assert(p);
        assert(t);

        /* Without the cache: what counts is what the storage has. */
        r = job_snapshot_open_copy(p->run, copy, /* cached= */ false, &snapshot, f);
        if (r < 0)
                return r;
        if (p->spec.tag) {
                r = forget(p, name, snapshot.repository, t, &gone, f);
                /* The master is told of a part as well. */
                k = list_snapshots(p, snapshot.repository, &gone, t, r < 0 ? NULL : f);
                if (r < 0 || k < 0)
                        return r < 0 ? r : k;
        }
        if (!prune_spec_names(&p->spec, copy->target.id))
                return 0;
        r = give_back(p, name, snapshot.repository, f);
        t->pruned = r >= 0;
        if (r >= 0 && !t->snapshots)
                r = list_snapshots(p, snapshot.repository, &gone, t, f);
        return r;
}

static int find_bad(Prune *p, const char *target, int error, const Failure *f) {
        assert(p);

        job_link_log(p->run->link, LOG_ERR, "The repository on %s: %s", target, failure_message(f, error));
        if (p->bad++ > 0)
                return 0;
        (void) failure_set(&p->first, error, failure_is_set(f) ? f->code : "PRUNE_FAILED",
                           "The repository on %s: %s", target, failure_message(f, error));
        return failure_is_set(&p->first) ? 0 : -ENOMEM;
}

static int prune_all(Prune *p) {
        int r = 0;

        assert(p);

        p->outcome.targets = new0(PruneTarget, p->spec.snapshots.n);
        if (!p->outcome.targets)
                return -ENOMEM;
        for (size_t i = 0; i < p->spec.snapshots.n && r >= 0; i++) {
                const SnapshotCopy *copy = p->spec.snapshots.copies + i;
                PruneTarget *t = p->outcome.targets + p->outcome.n_targets++;
                _cleanup_failure_ Failure f = FAILURE_NULL;

                t->target_id = copy->target.id;
                r = work_on(p, copy, t, &f);
                if (r < 0 && r != -ENOMEM && r != -ECANCELED)
                        r = find_bad(p, copy->target.name, r, &f);
        }
        return r;
}

static int prune(Prune *p, JobOutcome *ret, Failure *reterr_failure) {
        int r, k;

        assert(p);
        assert(ret);

        r = prune_spec_parse(p->run->start->spec, &p->spec, reterr_failure);
        if (r >= 0)
                r = read_policy(p, reterr_failure);
        if (r >= 0)
                r = job_lock_owner_init(&p->owner, p->run->start, reterr_failure);
        if (r < 0)
                return r;
        r = prune_all(p);
        /* What was done until it was cancelled is told as well. */
        k = prune_outcome_build(&p->outcome, &ret->result);
        if (r < 0 || k < 0)
                return r < 0 ? r : k;
        ret->status = p->bad > 0 ? RESULT_FAILED : RESULT_SUCCEEDED;
        ret->failure = p->first;
        p->first = FAILURE_NULL;
        return 0;
}

void job_kind_prune(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(prune_done) Prune p = { .run = run };
        int r;

        assert(run);
        assert(ret);

        r = prune(&p, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
}
