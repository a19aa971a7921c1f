#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Databases of SQLite as the streams of a backup: each is copied when its turn comes, so that one copy at a
 * time is staged. One that cannot be copied is named as lost and the others go on; where none can, the run
 * fails. */

#include "archive/streams.h"

#define SQLITE_SOURCE_MAX 1024 /* databases of one run */

typedef struct SqliteSource SqliteSource;

typedef struct SqliteSourceArgs {
        char *const *patterns; /* absolute paths, with wildcards within a name or without */
        const char *staging;   /* a directory for staging_open() */
        uint64_t staging_max;  /* 0: what is free */
        const atomic_bool *cancel;
        /* Whether this file may be backed up: 0 or negative errno, with a failure. */
        int (*allowed)(void *userdata, const char *path, Failure *reterr_failure);
        void *userdata;
} SqliteSourceArgs;

/* Finds the databases. A pattern without wildcards names one, which has to be there; of what others match,
 * only databases count. -ENOENT with a failure: there is none at all. args must outlive it. */
int sqlite_source_new(const SqliteSourceArgs *args, SqliteSource **ret, Failure *reterr_failure)
                _warn_unused_;
SqliteSource *sqlite_source_free(SqliteSource *s);
/* Real paths, in the order of a tree. */
char *const *sqlite_source_paths(const SqliteSource *s);
const BackupStreams *sqlite_source_streams(const SqliteSource *s);

DEFINE_CLEANUP(SqliteSource *, sqlite_source_free);
