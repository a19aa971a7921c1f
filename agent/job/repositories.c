/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "agent/job/repositories.h"
#include "agent/job/targets.h"
#include "base/alloc.h"
#include "base/text.h"
#include "repository/cache.h"
#include "sys/log.h"

/* Indexes of repositories kept on a node: of some 10 TB. */
#define CACHE_MAX (1ULL << 30)

/* The inode of the machine's own namespace of processes, the same on every Linux (PROC_PID_INIT_INO). */
#define PID_NAMESPACE_INODE 0xEFFFFFFCU

static int get_secret(const JobRun *run, const SpecTarget *target, RepositorySecret *ret,
                      Failure *reterr_failure) {
        int r;

        assert(target);

        r = command_secrets_repository(&run->start->secrets, target->id, ret);
        if (r >= 0)
                return 0;
        return failure_set(reterr_failure, -ENOKEY, "KEYS_MISSING",
                           "The command brought no password for the repository on target %s", target->name);
}

static int make(const JobRun *run, const RepositoryArgs *args, const RepositorySecret *secret,
                Failure *reterr_failure) {
        const RepositoryNew n = {
                .chunker_polynomial = secret->polynomial,
                .chunker = CHUNKER_GEAR,
                .hostname = run->start->context.node_name,
                .username = "backupx",
                .derived = true,
        };
        int r;

        r = repository_init(args, &n, reterr_failure);
        if (r == -EEXIST) /* another job of this node was faster, and made the same */
                return 0;
        if (r >= 0)
                job_link_log(run->link, LOG_INFO, "Made a repository on %s", storage_name(args->storage));
        return r;
}

int job_repository_open(const JobRun *run, const SpecTarget *target, Storage *storage, Repository **ret,
                        Failure *reterr_failure) {
        RepositoryArgs args = {
                .storage = storage, .prefix = strempty(target->prefix), .cache = run->cache_dir
        };
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_failure_ Failure missing = FAILURE_NULL;
        RepositorySecret secret = {};
        int r;

        assert(run);
        assert(storage);
        assert(ret);

        r = get_secret(run, target, &secret, reterr_failure);
        if (r < 0)
                return r;
        args.password = secret.password;
        r = repository_open(&args, &repository, target->make ? &missing : reterr_failure);
        if (r == -ENOENT && target->make) {
                r = make(run, &args, &secret, reterr_failure);
                if (r >= 0)
                        r = repository_open(&args, &repository, reterr_failure);
        } else if (r < 0 && target->make)
                return failure_set(reterr_failure, r, failure_is_set(&missing) ? missing.code : "STORAGE",
                                   "%s", failure_message(&missing, r));
        if (r < 0)
                return r;
        if (repository_config(repository)->chunker_polynomial != secret.polynomial)
                return failure_set(reterr_failure, -EMEDIUMTYPE, "REPOSITORY_FOREIGN",
                                   "The repository on %s is not the one that this node made there",
                                   storage_name(storage));
        repo_cache_trim(run->cache_dir, CACHE_MAX);
        *ret = TAKE_PTR(repository);
        return 0;
}

/* --- Reading ----------------------------------------------------------------------------------------- */

void job_snapshot_done(JobSnapshot *s) {
        if (!s)
                return;
        repository_free(s->repository);
        storage_free(s->storage);
        *s = (JobSnapshot){};
}

int job_snapshot_open_copy(const JobRun *run, const SnapshotCopy *copy, bool cached, JobSnapshot *ret,
                           Failure *reterr_failure) {
        _cleanup_(job_snapshot_done) JobSnapshot s = { .id = copy->id };
        _cleanup_(snapshot_done) Snapshot snapshot = SNAPSHOT_NULL;
        RepositoryArgs args = { .prefix = strempty(copy->target.prefix),
                                .cache = cached ? run->cache_dir : NULL };
        RepositorySecret secret = {};
        Id id;
        int r;

        assert(run);
        assert(copy);
        assert(ret);

        r = get_secret(run, &copy->target, &secret, reterr_failure);
        if (r >= 0)
                r = job_target_open(run, &copy->target, &s.storage, reterr_failure);
        if (r < 0)
                return r;
        args.storage = s.storage;
        args.password = secret.password;
        r = repository_open(&args, &s.repository, reterr_failure);
        if (r >= 0)
                r = repository_find_snapshot(s.repository, copy->id, &id, &snapshot, reterr_failure);
        if (r < 0)
                return r;
        repo_cache_trim(run->cache_dir, CACHE_MAX);
        *ret = s;
        s = (JobSnapshot){};
        return 0;
}

int job_snapshot_open(const JobRun *run, const SnapshotRef *ref, JobSnapshot *ret, Failure *reterr_failure) {
        _cleanup_failure_ Failure first = FAILURE_NULL;
        int error = -ENOTCONN;

        assert(run);
        assert(ref);
        assert(ret);

        for (size_t i = 0; i < ref->n; i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                int r;

                r = job_snapshot_open_copy(run, ref->copies + i, /* cached= */ true, ret, &failure);
                if (r >= 0 || r == -ECANCELED)
                        return r;
                job_link_log(run->link, LOG_WARNING, "Target %s cannot be read: %s",
                             ref->copies[i].target.name, failure_message(&failure, r));
                if (i > 0)
                        continue;
                error = r;
                (void) failure_set(&first, r, failure_is_set(&failure) ? failure.code : "TARGET_FAILED",
                                   "%s", failure_message(&failure, r));
        }
        return failure_set(reterr_failure, error, failure_is_set(&first) ? first.code : "TARGET_FAILED",
                           "%s", failure_message(&first, error));
}

/* --- Locks ------------------------------------------------------------------------------------------- */

static int name_host(uint64_t node_id, char **ret) {
        struct utsname name;
        struct stat st;

        assert(ret);

        if (stat("/proc/self/ns/pid", &st) >= 0 && st.st_ino == PID_NAMESPACE_INODE)
                return 0;
        if (uname(&name) < 0)
                return -errno;
        return asprintf_safe(ret, "%s.backupx-%" PRIu64, name.nodename, node_id);
}

void job_lock_owner_done(JobLockOwner *o) {
        assert(o);

        free(o->hostname);
        strv_free(o->ended);
        *o = (JobLockOwner){};
}

int job_lock_owner_init(JobLockOwner *o, const JobStart *start, Failure *reterr_failure) {
        int r;

        assert(o);
        assert(start);

        *o = (JobLockOwner){};
        (void) work_name_format(o->command, start->name, "");
        r = spec_read_ended(start->spec, &o->ended, reterr_failure);
        return r < 0 ? r : name_host(start->context.node_id, &o->hostname);
}
