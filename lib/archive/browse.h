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

/* A page as it grows, for whatever has directories. */
typedef struct BrowsePage {
        char *after;  /* the last name of the page before; or NULL */
        size_t limit; /* 1 to BROWSE_LIMIT_MAX */
        size_t allocated;
        bool more;
        BrowseResult result;
} BrowsePage;

/* -EINVAL: not a limit, or not a cursor. Always with a failure. */
int browse_page_init(BrowsePage *p, size_t limit, const char *cursor, Failure *reterr_failure) _warn_unused_;
void browse_page_done(BrowsePage *p);
/* The entries of a directory, in the order of their names. 1: the page is full, and e was not taken; 0: it
 * was taken (then *e is ENTRY_NULL), or belongs to an earlier page. */
int browse_page_add(BrowsePage *p, Entry *e) _warn_unused_;
/* Hands over the page, with its cursor. */
int browse_page_finish(BrowsePage *p, BrowseResult *ret) _warn_unused_;

/* -ENOENT: no such directory in the archive; -ENOTDIR: it is not one; -EINVAL: not a path, limit or cursor;
 * -EBADMSG, and what storage gives: the archive cannot be read. Always with a failure. */
int archive_browse(const BrowseArgs *args, BrowseResult *ret, Failure *reterr_failure) _warn_unused_;
