#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The restore of a snapshot: everything or chosen paths, by the same code and to the same rules as that of
 * an archive (archive/restore.h). What is damaged or missing is named, and never restored in part; the rest
 * is. */

#include "archive/restore.h"
#include "repository/repository.h"

typedef struct RepositoryRestoreArgs {
        Repository *repository;
        const char *snapshot; /* as repository_find_snapshot() */
        /* With conflict overwrite: files that are there already with the size and time of the snapshot
         * are taken as right, since a file gets its name when it is whole. A restore that was interrupted
         * goes on where it was. */
        bool resume;
        unsigned n_threads;  /* that read and check; 0: as many as are good */
        RestoreArgs restore; /* its source is not used */
} RepositoryRestoreArgs;

/* As archive_restore(). */
int repository_restore(const RepositoryRestoreArgs *args, RestoreResult *ret, Failure *reterr_failure)
                _warn_unused_;
