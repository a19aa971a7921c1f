#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Locks: files that say who works on a repository. Many may hold one that is not exclusive; an exclusive
 * one stands alone. They are advice among programs that keep to it, restic and we: nothing enforces them.
 * This is the JSON and the rule; both sides have to know it. */

#include "base/failure.h"
#include "repository/moment.h"

#define REPO_LOCK_SIZE_MAX (64U << 10)
#define REPO_LOCK_REFRESH_SEC (5 * 60)
/* A lock that was not refreshed for so long is nobody's, says restic: then others may remove it. */
#define REPO_LOCK_STALE_SEC (30 * 60)
/* A job that could not refresh its lock for so long stops writing: well before others may think it dead. */
#define REPO_LOCK_GIVE_UP_SEC (22 * 60)
/* After a refresh that failed. */
#define REPO_LOCK_RETRY_SEC 30

typedef struct RepoLock {
        Moment time; /* of the last refresh */
        bool exclusive;
        char *hostname, *username;
        char *command; /* the work that it is for, in a key that restic ignores; NULL: not said */
        uint64_t pid;
        uint32_t uid, gid;
} RepoLock;

#define REPO_LOCK_NULL ((RepoLock){})
void repo_lock_done(RepoLock *l);

/* -EBADMSG with LOCK_DAMAGED. */
int repo_lock_parse(const void *data, size_t n, RepoLock *ret, Failure *reterr_failure) _warn_unused_;
int repo_lock_format(const RepoLock *l, char **ret, size_t *ret_size) _warn_unused_;

/* Whether somebody who holds other keeps us from working: an exclusive lock everybody, any lock those who
 * want an exclusive one. A lock that is stale by its time keeps nobody. A process that is gone is no reason:
 * its number means nothing on another machine or in another namespace. */
bool repo_lock_conflicts(const RepoLock *other, bool want_exclusive, const Moment *now);
bool repo_lock_is_stale(const RepoLock *l, const Moment *now);
