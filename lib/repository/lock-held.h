#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A lock that this process holds in a repository. No other lock is ever removed, but those of work that is
 * known to be over. lock-watch.h refreshes it, and says when work has to stop. */

#include "repository/lock.h"
#include "repository/repository.h"

typedef struct RepoLockHeld RepoLockHeld;

/* When a lock is refreshed. 0: as lock.h has it. */
typedef struct RepoLockTimes {
        usec_t refresh;
        usec_t retry;   /* after a refresh that failed */
        usec_t give_up; /* not refreshed for so long: others may think that nobody works there */
} RepoLockTimes;

/* Whom a lock is for. What died leaves its lock behind; nobody but who gave out the work knows for sure. */
typedef struct RepoLockOwner {
        const char *hostname; /* NULL: this machine's. Has a suffix where our pid means nothing */
        const char *command;  /* of all work the only one that is called so; may be NULL */
        char *const *ended;   /* work of such names has ended: its locks keep nobody, and go */
} RepoLockOwner;

typedef struct RepoLockArgs {
        bool exclusive;
        RepoLockOwner owner;
        const char *username;      /* NULL: none */
        usec_t delay;              /* how long a new file may stay out of listings, where that is known */
        RepoLockTimes times;       /* of repo_lock_watch_new() */
        const atomic_bool *cancel; /* ends the wait; may be NULL */
} RepoLockArgs;

/* Writes a lock, waits until it is listed, and so all that was written before, and looks for others again.
 * -EBUSY with REPOSITORY_LOCKED: who holds it and since when; then ours is gone again. */
int repo_lock_take(Repository *r, const RepoLockArgs *args, RepoLockHeld **ret, Failure *reterr_failure)
                _warn_unused_;
/* Writes it anew, and removes the one before. Where that fails the old one stays. */
int repo_lock_refresh(RepoLockHeld *l, Failure *reterr_failure) _warn_unused_;
/* Whether it is still listed: -ESTALE with LOCK_LOST. */
int repo_lock_check(RepoLockHeld *l, Failure *reterr_failure) _warn_unused_;
/* How long a new file may stay out of listings, as far as is known. */
usec_t repo_lock_delay(const RepoLockHeld *l);
/* Removes it. */
int repo_lock_release(RepoLockHeld *l, Failure *reterr_failure) _warn_unused_;
/* Releases what was not released, as far as that works. */
RepoLockHeld *repo_lock_free(RepoLockHeld *l);

DEFINE_CLEANUP(RepoLockHeld *, repo_lock_free);
