#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A look into an archive: one directory at a time, in pages. Reads the manifest and the frames of the
 * listing that hold that directory, nothing of the data. */

#include "archive/entries.h"
#include "archive/restore.h"

#define BROWSE_LIMIT_MAX 10000

typedef struct BrowseArgs {
        ArchiveSource source; /* the data's key is not needed */
        const char *path;     /* absolute or "", raw bytes: the directory */
        size_t limit;         /* entries of a page: 1 to BROWSE_LIMIT_MAX */
        const char *cursor;   /* NULL or "": the first page; else next_cursor of the page before */
} BrowseArgs;

typedef struct BrowseResult {
        Entry *entries; /* in the order of their names' bytes; paths without the first '/' */
        size_t n_entries;
        char *next_cursor; /* ASCII; NULL: this was the last page */
} BrowseResult;

#define BROWSE_RESULT_NULL ((BrowseResult){})

void browse_result_done(BrowseResult *r);

/* -ENOENT: no such directory in the archive; -ENOTDIR: it is not one; -EINVAL: not a path, limit or cursor;
 * -EBADMSG, and what storage gives: the archive cannot be read. Always with a failure. */
int archive_browse(const BrowseArgs *args, BrowseResult *ret, Failure *reterr_failure) _warn_unused_;
