#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The state of a prune, for its files. */

#include "repository/blob.h"
#include "repository/id-set.h"
#include "repository/lock-watch.h"
#include "repository/prune.h"

typedef enum PruneAction {
        PRUNE_KEEP,
        PRUNE_REMOVE,
        PRUNE_MOVE,   /* repack, then remove */
        PRUNE_RETAIN, /* would go, but an index that names it cannot be removed */
} PruneAction;

typedef struct PrunePack {
        Id id;
        uint64_t size;         /* as listed */
        uint64_t least;        /* bytes that a pack with these blobs has */
        uint64_t used, unused; /* bytes of blobs; a blob with several places is used at one */
        PruneAction action;
        bool listed, indexed;
        bool rewrite; /* an index file that names it is replaced */
        bool small;   /* an index file that names it is small */
} PrunePack;

typedef struct PruneRun {
        const RepositoryPruneArgs *args;
        RepositoryPruneResult *result;
        RepoLockWatch *lock;      /* NULL in a dry run */
        IdSet snapshots, indexes; /* as they were when it began */
        IdSet own;                /* index files that we wrote; not sorted while it grows */
        RepoIndex *index, *fresh; /* as it was; the packs that we wrote */
        uint8_t *used;            /* a bit for each place: its blob is used */
        uint8_t *chosen;          /* likewise: and this is the place that counts */
        PrunePack *packs;         /* by number of the index, then those that it does not have */
        size_t n_packs, allocated;
        uint32_t *order; /* places by pack */
        size_t *starts;  /* of each pack of the index in order, and the end */
        usec_t checked;  /* CLOCK_MONOTONIC: when the lock was last looked for */
} PruneRun;

static inline bool bit_get(const uint8_t *bits, size_t i) {
        return bits[i / 8] & 1U << i % 8;
}

static inline void bit_set(uint8_t *bits, size_t i) {
        bits[i / 8] |= (uint8_t) (1U << i % 8);
}

/* Whether to go on: not cancelled, and the lock is ours as far as is known. */
int prune_go_on(PruneRun *r, Failure *reterr_failure) _warn_unused_;

/* Lists and reads everything, and sets used. */
int prune_mark(PruneRun *r, Failure *reterr_failure) _warn_unused_;
/* Chooses a place for each used blob, and what happens to each pack. */
int prune_plan(PruneRun *r, Failure *reterr_failure) _warn_unused_;
/* Which packs are repacked, as a function of the packs alone. */
void prune_choose(PrunePack *const *candidates, size_t n, uint64_t used, uint64_t unused, unsigned percent,
                  uint64_t repack_max);
/* Copies what is used of the packs to be moved. */
int prune_repack(PruneRun *r, Failure *reterr_failure) _warn_unused_;
/* Stores an index file and remembers it. */
int prune_put_index(PruneRun *r, const void *json, size_t n, Failure *reterr_failure) _warn_unused_;

/* Which index files are to be replaced: ret, and rewrite of the packs that they name. */
int prune_classify_indexes(PruneRun *r, IdSet *ret, Failure *reterr_failure) _warn_unused_;
/* Lists what they named and stays. */
int prune_write_indexes(PruneRun *r, Failure *reterr_failure) _warn_unused_;
/* Lists again what was to go and is all there. */
int prune_restore_indexes(PruneRun *r, Failure *reterr_failure) _warn_unused_;
/* What an index file that cannot be removed names stays. */
int prune_retain(PruneRun *r, const Id *index, Failure *reterr_failure) _warn_unused_;
