#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The repositories of a command, opened with the passwords that came with it. */

#include "agent/job/kinds.h"
#include "repository/lock-held.h"
#include "repository/repository.h"

/* To write to: it is made where nothing was ever stored in it (target->make). A repository that should be
 * there and is not is an error: REPOSITORY_MISSING; so is one that cuts files at other places than the
 * master says: REPOSITORY_FOREIGN. storage outlives it. */
int job_repository_open(const JobRun *run, const SpecTarget *target, Storage *storage, Repository **ret,
                        Failure *reterr_failure) _warn_unused_;

/* A snapshot to read. */
typedef struct JobSnapshot {
        Storage *storage;
        Repository *repository;
        const char *id; /* points into the spec */
} JobSnapshot;

void job_snapshot_done(JobSnapshot *s);
/* One copy. cached: indexes may come from this machine. */
int job_snapshot_open_copy(const JobRun *run, const SnapshotCopy *copy, bool cached, JobSnapshot *ret,
                           Failure *reterr_failure) _warn_unused_;
/* The first copy that can be opened; those before it are told in the log. */
int job_snapshot_open(const JobRun *run, const SnapshotRef *ref, JobSnapshot *ret, Failure *reterr_failure)
                _warn_unused_;

/* Whom the locks of a job are for, and what is known to be over. */
typedef struct JobLockOwner {
        char *hostname;
        char command[WORK_NAME_MAX];
        char **ended;
} JobLockOwner;

void job_lock_owner_done(JobLockOwner *o);
/* hostname is NULL where this machine's name will do. In a container our process number means nothing on the
 * host, and restic there would take the lock for that of a process that is gone. */
int job_lock_owner_init(JobLockOwner *o, const JobStart *start, Failure *reterr_failure) _warn_unused_;

/* Points into o. */
static inline RepoLockOwner job_lock_owner(const JobLockOwner *o) {
        return (RepoLockOwner){ o->hostname, o->command, o->ended };
}
