/* SPDX-License-Identifier: Apache-2.0 */

/* verify: whether the repositories that hold a backup are whole, each of them. */

#include <errno.h>
#include <inttypes.h>

#include "agent/job/kinds.h"
#include "agent/job/repositories.h"
#include "base/alloc.h"
#include "base/text.h"
#include "repository/check.h"
#include "repository/lock-watch.h"
#include "sys/log.h"

typedef struct Verify {
        const JobRun *run;
        VerifySpec spec;
        RestoreOutcome outcome;
        unsigned bad;  /* repositories that are not whole, or could not be looked at */
        Failure first; /* of them */
} Verify;

static void verify_done(Verify *v) {
        verify_spec_done(&v->spec);
        restore_outcome_done(&v->outcome);
        failure_done(&v->first);
}

static int find_bad(Verify *v, const char *target, int error, const Failure *f) {
        assert(v);

        job_link_log(v->run->link, LOG_ERR, "The repository on %s: %s", target, failure_message(f, error));
        if (v->bad++ > 0)
                return 0;
        (void) failure_set(&v->first, error, failure_is_set(f) ? f->code : "VERIFY_FAILED",
                           "The repository on %s: %s", target, failure_message(f, error));
        return failure_is_set(&v->first) ? 0 : -ENOMEM;
}

/* What was found, as one sentence; each problem has a line of its own in the log. */
static int judge(Verify *v, const char *target, const RepositoryCheckResult *found) {
        _cleanup_failure_ Failure f = FAILURE_NULL;

        assert(v);
        assert(found);

        v->outcome.figures.bytes_read += found->bytes_read;
        v->outcome.figures.files += found->snapshots;
        job_link_log(v->run->link, LOG_INFO,
                     "The repository on %s: %" PRIu64 " snapshots, %" PRIu64 " packs, %" PRIu64
                     " of them read; %" PRIu64 " problems",
                     target, found->snapshots, found->packs, found->packs_read, found->problems_total);
        for (size_t i = 0; i < found->n_problems; i++)
                job_link_log(v->run->link, LOG_ERR, "%s", found->problems[i]);
        if (found->problems_total == 0)
                return 0;
        (void) failure_set(&f, -EBADMSG, "REPOSITORY_DAMAGED", "%" PRIu64 " problems, the first of them: %s",
                           found->problems_total, found->n_problems > 0 ? found->problems[0] : "");
        return find_bad(v, target, -EBADMSG, &f);
}

/* Below a lock, so that nothing is removed meanwhile. */
static int check_repository(Verify *v, const char *target, Repository *repository, Failure *f) {
        _cleanup_(repository_check_result_done) RepositoryCheckResult found = REPOSITORY_CHECK_RESULT_NULL;
        _cleanup_(repo_lock_watch_freep) RepoLockWatch *lock = NULL;
        const atomic_bool *cancel = job_link_cancelled(v->run->link);
        const RepositoryCheckArgs args = {
                .repository = repository,
                .share = v->spec.share,
                .shares = v->spec.shares,
                .cancel = cancel,
        };
        RepoLockArgs held = { .username = "backupx", .cancel = cancel };
        _cleanup_(job_lock_owner_done) JobLockOwner owner = {};
        int r;

        r = job_lock_owner_init(&owner, v->run->start, f);
        if (r < 0)
                return r;
        held.owner = job_lock_owner(&owner);
        r = repo_lock_watch_new(repository, &held, &lock, f);
        if (r >= 0)
                r = repository_check(&args, &found, f);
        if (r >= 0)
                r = repo_lock_watch_alive(lock, f);
        return r < 0 ? r : judge(v, target, &found);
}

static int verify_copy(Verify *v, const SnapshotCopy *copy) {
        _cleanup_(job_snapshot_done) JobSnapshot snapshot = {};
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r;

        assert(v);
        assert(copy);

        /* Without the cache: what counts is what the storage has. */
        r = job_snapshot_open_copy(v->run, copy, /* cached= */ false, &snapshot, &f);
        if (r >= 0)
                r = check_repository(v, copy->target.name, snapshot.repository, &f);
        if (r == -ENOMEM || r == -ECANCELED)
                return r;
        return r < 0 ? find_bad(v, copy->target.name, r, &f) : 0;
}

static int verify(Verify *v, JobOutcome *ret, Failure *reterr_failure) {
        int r;

        assert(v);
        assert(ret);

        r = verify_spec_parse(v->run->start->spec, &v->spec, reterr_failure);
        for (size_t i = 0; i < v->spec.snapshots.n && r >= 0; i++)
                r = verify_copy(v, v->spec.snapshots.copies + i);
        if (r >= 0)
                r = restore_outcome_build(&v->outcome, &ret->result);
        if (r < 0)
                return r;
        ret->status = v->bad > 0 ? RESULT_FAILED : RESULT_SUCCEEDED;
        ret->failure = v->first;
        v->first = FAILURE_NULL;
        return 0;
}

void job_kind_verify(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(verify_done) Verify v = { .run = run };
        int r;

        assert(run);
        assert(ret);

        r = verify(&v, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
}
