#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A look into a snapshot: one directory at a time, in pages, by the trees on the way to it alone. */

#include "archive/browse.h"
#include "repository/repository.h"

typedef struct RepositoryBrowseArgs {
        Repository *repository;
        const char *snapshot; /* as repository_find_snapshot() */
        const char *path;     /* absolute or "", raw bytes: the directory */
        size_t limit;         /* entries of a page: 1 to BROWSE_LIMIT_MAX */
        const char *cursor;   /* NULL or "": the first page; else next_cursor of the page before */
} RepositoryBrowseArgs;

/* As archive_browse(). Sizes of files are those at the backup. */
int repository_browse(const RepositoryBrowseArgs *args, BrowseResult *ret, Failure *reterr_failure)
                _warn_unused_;
