#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Removes the snapshots of a repository that a policy does not keep. What they alone referred to stays until
 * the next prune.
 *
 * Snapshots are put into groups, and the policy is applied to each. All of them have to be readable: one
 * that is not ends it before anything is removed. The removal is below an exclusive lock, as restic's is;
 * just before it the snapshots are listed again and the lock is looked at. No group is emptied: where the
 * rules would keep nothing of it, its newest snapshot stays. */

#include <stdatomic.h>

#include "repository/forget.h"
#include "repository/lock-held.h"
#include "repository/repository.h"

/* What has to be equal for two snapshots to be of one group; bits. */
typedef enum ForgetGroup {
        FORGET_GROUP_HOST = 1,
        FORGET_GROUP_PATHS = 2,
        FORGET_GROUP_TAGS = 4,
} ForgetGroup;

/* restic's, too. */
#define FORGET_GROUP_DEFAULT ((unsigned) (FORGET_GROUP_HOST | FORGET_GROUP_PATHS))

typedef struct RepositoryForgetArgs {
        Repository *repository;
        const ForgetPolicy *policy;
        unsigned group_by;      /* of ForgetGroup; 0: all are one group */
        const char *hostname;   /* only snapshots of this host; NULL: of all */
        char *const *paths;     /* only those of all these paths; NULL: of any */
        char *const *tags;      /* only those with all these tags; NULL: with any or none */
        char *const *keep_tags; /* those with one of these are always kept; may be NULL */
        Moment now;             /* snapshots later than that do not count as the newest */
        bool dry_run;           /* only say what would be removed; takes no lock */
        RepoLockOwner lock_owner;
        const char *username;
        usec_t listing_delay;
        RepoLockTimes lock_times;
        const atomic_bool *cancel; /* may be NULL */
} RepositoryForgetArgs;

typedef struct ForgetItem {
        Id id;
        Id group; /* of equal ones in equal groups; means nothing else */
        Snapshot snapshot;
        ForgetReasons reasons; /* 0: it goes */
        bool removed;          /* it is gone */
} ForgetItem;

typedef struct RepositoryForgetResult {
        ForgetItem *items; /* by group, and in each the newest first */
        size_t n_items;
        uint64_t removed, kept;
        uint64_t refused; /* the storage retains them */
        char *refusal;    /* what it said first, or NULL */
} RepositoryForgetResult;

#define REPOSITORY_FORGET_RESULT_NULL ((RepositoryForgetResult){})
void repository_forget_result_done(RepositoryForgetResult *r);

/* 0: done. Otherwise *ret says what was removed until then: -EBUSY with REPOSITORY_LOCKED, -ESTALE with
 * LOCK_LOST, -EBADMSG with SNAPSHOT_DAMAGED, -ECANCELED; others of the storage. */
int repository_forget(const RepositoryForgetArgs *args, RepositoryForgetResult *ret,
                      Failure *reterr_failure) _warn_unused_;
