#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A lock that a thread of its own refreshes while others work below it, however long one of their calls
 * takes. */

#include "repository/lock-held.h"

typedef struct RepoLockWatch RepoLockWatch;

/* As repo_lock_take(). */
int repo_lock_watch_new(Repository *r, const RepoLockArgs *args, RepoLockWatch **ret,
                        Failure *reterr_failure) _warn_unused_;
/* Ends the thread and releases the lock, as far as that works. */
RepoLockWatch *repo_lock_watch_free(RepoLockWatch *w);

/* Whether work may go on, by what is known without asking: -ESTALE with LOCK_LOST when somebody removed the
 * lock, or when it was not refreshed for too long, by a clock that goes on while a machine sleeps. From then
 * on it stays so. Never waits for the storage. */
int repo_lock_watch_alive(RepoLockWatch *w, Failure *reterr_failure) _warn_unused_;
/* The same, and looks whether the lock is listed. Waits as long as a lock that was just refreshed may stay
 * out of listings. */
int repo_lock_watch_check(RepoLockWatch *w, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(RepoLockWatch *, repo_lock_watch_free);
