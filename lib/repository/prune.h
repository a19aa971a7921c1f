#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Gives back the space of what no snapshot refers to any more.
 *
 * First it is found out, below an exclusive lock, what is used: from every tree of every snapshot. What
 * cannot be read, a used blob that has no place, a pack that is missing or cut off and was needed: each of
 * them ends it before anything changed. Packs that nothing is used of are to be removed; of those that are
 * partly used so many are repacked that at most a given share remains unused.
 *
 * Then, in this order: the used blobs of the packs to be repacked go into new packs, and an index says so;
 * new indexes list what stays; the old indexes are removed; the packs are removed. Just before each of the
 * two removals snapshots and indexes are listed again, and the lock is looked at: one that is new, a lock
 * that is gone, or a listing that failed ends it, and nothing (more) is removed. A snapshot that appears
 * when the old indexes are gone gets an index of all that was to go. Killed anywhere it leaves a repository
 * with every snapshot whole, and perhaps with packs that the next prune removes.
 *
 * Memory: the index, five bytes a blob, a hundred a pack, and the packs being filled. A blob that lies in
 * several packs keeps one place, which is not read where its pack stays as it is. */

#include <stdatomic.h>

#include "repository/lock-held.h"
#include "repository/repository.h"

#define PRUNE_UNUSED_PERCENT_DEFAULT 5

typedef enum PrunePhase {
        PRUNE_MARK,
        PRUNE_REPACK,
        PRUNE_WRITE_INDEX,
        PRUNE_REMOVE_INDEXES,
        PRUNE_REMOVE_PACKS,
        _PRUNE_PHASE_MAX,
        _PRUNE_PHASE_INVALID = -22, /* -EINVAL */
} PrunePhase;

/* "mark", "repack", "write-index", "remove-indexes", "remove-packs". */
DECLARE_STRING_TABLE(prune_phase, PrunePhase);

typedef struct RepositoryPruneArgs {
        Repository *repository;
        RepoLockOwner lock_owner;
        const char *username;
        usec_t listing_delay;
        RepoLockTimes lock_times;
        unsigned unused_percent; /* 0 to 100: of what remains, that may be unused */
        uint64_t repack_max;     /* bytes that are written anew at most; UINT64_MAX: any */
        unsigned uploads;        /* at a time; 0: 1 */
        bool dry_run;            /* only mark and count; takes no lock */
        bool allow_empty;        /* also where there is no snapshot at all, so that everything goes */
        const atomic_bool *cancel;
        /* When a phase begins; may be NULL. */
        void (*on_phase)(void *userdata, PrunePhase phase);
        void *userdata;
} RepositoryPruneArgs;

typedef struct RepositoryPruneResult {
        uint64_t snapshots;
        uint64_t blobs_used, blobs_unused, blobs_duplicate; /* before; duplicate: places beyond the first */
        uint64_t packs_kept, bytes_kept;                    /* as they are */
        uint64_t bytes_kept_unused;                         /* of them, that nothing refers to */
        uint64_t packs_repacked, bytes_repacked;            /* old packs; what is used of them */
        uint64_t packs_unindexed;                           /* of those to be removed: in no index */
        uint64_t packs_removed, bytes_removed;              /* in a dry run: that would be */
        uint64_t packs_hidden, bytes_hidden;                /* of them; kept as older versions: not free */
        uint64_t packs_refused, bytes_refused;              /* the storage retains them */
        uint64_t indexes_written, indexes_removed, indexes_refused;
        uint64_t bytes_written; /* in new packs */
        char *refusal;          /* what the storage said first, or NULL */
} RepositoryPruneResult;

#define REPOSITORY_PRUNE_RESULT_NULL ((RepositoryPruneResult){})
void repository_prune_result_done(RepositoryPruneResult *r);

/* 0: done, with what the storage refused in *ret. Otherwise the repository is as whole as before, and *ret
 * says how far it came: -EBUSY with REPOSITORY_LOCKED, -ESTALE with LOCK_LOST or REPOSITORY_CHANGED (then
 * try again), -EBADMSG where something is damaged or missing (then check), -ENODATA with REPOSITORY_EMPTY,
 * -ECANCELED; others of the storage. */
int repository_prune(const RepositoryPruneArgs *args, RepositoryPruneResult *ret,
                     Failure *reterr_failure) _warn_unused_;
