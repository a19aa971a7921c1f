#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The state of a check, for its files. */

#include <pthread.h>

#include "repository/blob.h"
#include "repository/check.h"

/* A pack of the storage, or of the index, or of both. */
typedef struct CheckPack {
        Id id;
        uint64_t size;     /* as listed */
        uint64_t blob_end; /* of the blobs that the index has */
        uint64_t n_plain, n_compressed;
        bool listed, indexed;
} CheckPack;

typedef struct CheckRun {
        const RepositoryCheckArgs *args;
        RepositoryCheckResult *result;
        RepoIndex *index;
        CheckPack *packs; /* by number of the index, then those that it does not have */
        size_t n_packs, allocated;
        uint8_t *used;        /* a bit for each place of the index */
        pthread_mutex_t lock; /* of the result while threads read */
        atomic_size_t next;   /* pack to read */
        atomic_int error;     /* that ends the check */
} CheckRun;

/* Says that something is wrong; may be called by any thread. Gives 0 or -ENOMEM. */
int check_problem(CheckRun *r, const char *format, ...) _printf_(2, 3);
bool check_is_cancelled(const CheckRun *r);

/* Whether each snapshot is whole, as far as trees say. */
int check_snapshots(CheckRun *r, Failure *reterr_failure) _warn_unused_;
/* Reads the packs of the share. */
int check_data(CheckRun *r) _warn_unused_;
