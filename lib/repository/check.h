#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Whether a repository is whole: there is a key file, and all of them are what was stored; every snapshot's
 * trees can be read and refer to blobs that the index has; every pack that the index names is there, with
 * the size that its blobs make. Where data is read: each pack is what its name says, its header says what
 * the index does, and each blob opens and has its digest.
 *
 * Nothing is called good that was not looked at: what could not be read is a problem like any other. */

#include <stdatomic.h>

#include "repository/repository.h"

/* Problems that are kept, each with its sentence; the rest is counted. */
#define CHECK_PROBLEMS_MAX 100

typedef struct RepositoryCheckArgs {
        Repository *repository;
        /* Packs whose data is read: share of shares (1 of 1: all); 0: none. Packs fall into shares by their
         * names, as with restic's --read-data-subset=SHARE/SHARES. */
        unsigned share, shares;
        unsigned n_threads;        /* that read data; 0: as many as are good */
        const atomic_bool *cancel; /* may be NULL */
} RepositoryCheckArgs;

typedef struct RepositoryCheckResult {
        uint64_t snapshots, trees, packs, blobs;
        uint64_t packs_read, bytes_read;
        uint64_t packs_unknown; /* not in the index: of runs that were interrupted; no problem */
        uint64_t blobs_unused;  /* referred to by no snapshot */
        char *problems[CHECK_PROBLEMS_MAX];
        size_t n_problems;
        uint64_t problems_total; /* 0: it is whole, as far as it was asked for */
} RepositoryCheckResult;

#define REPOSITORY_CHECK_RESULT_NULL ((RepositoryCheckResult){})
void repository_check_result_done(RepositoryCheckResult *r);

/* 0: it was looked at, and *ret says what was found. Negative errno: it could not be (-ECANCELED, no memory,
 * a listing that failed); then nothing is known. */
int repository_check(const RepositoryCheckArgs *args, RepositoryCheckResult *ret, Failure *reterr_failure)
                _warn_unused_;
