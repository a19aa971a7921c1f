#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What blobs a repository has and where, in memory: 48 bytes a blob, six to twelve of a hash table, and 40 a
 * pack. A blob may lie in several packs; each place is kept. Nothing is locked: readers may share an index
 * that nobody changes. */

#include "repository/index-file.h"

typedef struct RepoIndex RepoIndex;

/* Where a blob is. */
typedef struct IndexEntry {
        PackBlob blob;
        uint32_t pack;   /* number of the pack, in the order in which they came */
        uint32_t number; /* of the place, likewise */
} IndexEntry;

int repo_index_new(RepoIndex **ret) _warn_unused_;
RepoIndex *repo_index_free(RepoIndex *x);

/* The number of a pack, which is new or not. */
int repo_index_add_pack(RepoIndex *x, const Id *pack, uint32_t *ret) _warn_unused_;
/* A blob of a pack. 1, or 0 where that very place was known. */
int repo_index_add(RepoIndex *x, uint32_t pack, const PackBlob *b) _warn_unused_;

/* Adds what a file says. Where that fails, part of it may be there, which does no harm for reading. */
int repo_index_load(RepoIndex *x, JsonPullRead read, void *source, Failure *reterr_failure) _warn_unused_;

/* Places of a blob, the first added first. cursor starts at 0. False: no more. */
bool repo_index_find(const RepoIndex *x, BlobType type, const Id *id, uint64_t *cursor, IndexEntry *ret);
bool repo_index_has(const RepoIndex *x, BlobType type, const Id *id);

size_t repo_index_n_blobs(const RepoIndex *x); /* places, to be exact */
size_t repo_index_n_packs(const RepoIndex *x);
const Id *repo_index_pack(const RepoIndex *x, uint32_t pack);
/* -ENOENT. */
int repo_index_find_pack(const RepoIndex *x, const Id *id, uint32_t *ret) _warn_unused_;
/* The i-th place, in the order in which they came. */
void repo_index_get(const RepoIndex *x, size_t i, IndexEntry *ret);
/* Index files that others replaced. */
const Id *repo_index_superseded(const RepoIndex *x, size_t *ret_n);
/* Bytes of memory. */
size_t repo_index_memory(const RepoIndex *x);

DEFINE_CLEANUP(RepoIndex *, repo_index_free);
