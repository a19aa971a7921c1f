#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The content of one file of a snapshot, to a stream. */

#include <stdatomic.h>

#include "repository/repository.h"

typedef struct RepositoryDumpArgs {
        Repository *repository;
        const char *snapshot;      /* as repository_find_snapshot() */
        const char *path;          /* absolute */
        int fd;                    /* that is written to; blocking */
        const atomic_bool *cancel; /* may be NULL */
} RepositoryDumpArgs;

/* Every blob is checked before anything of it is written; where one is damaged the stream ends before it,
 * with the error. -ENOENT with PATH_MISSING; -EISDIR with PATH_INVALID: no file. */
int repository_dump(const RepositoryDumpArgs *args, Failure *reterr_failure) _warn_unused_;
