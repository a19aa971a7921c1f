#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a repository holds, and what that takes. */

#include "repository/repository.h"

typedef struct RepositoryStats {
        uint64_t snapshots;
        uint64_t files, bytes;      /* of all snapshots together, as if each was restored */
        uint64_t blobs;             /* different ones that the index has */
        uint64_t bytes_plain;       /* of those: bytes / bytes_plain is what deduplication saves */
        uint64_t bytes_stored;      /* sealed: bytes_plain / bytes_stored is what compression saves */
        uint64_t bytes_stored_more; /* of blobs that lie in a further pack */
} RepositoryStats;

/* Reads the index and every tree of every snapshot. */
int repository_stats(Repository *r, RepositoryStats *ret, Failure *reterr_failure) _warn_unused_;
