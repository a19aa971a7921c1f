#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A database of SQLite as files: what its head says, who has it open, and its files copied as they are while
 * nobody has.
 *
 * Locks of POSIX belong to a process: closing any descriptor of a file gives up all that it holds on it. So
 * nothing here may run while this process has the database open through the library. */

#include <stdatomic.h>

#include "base/failure.h"
#include "base/times.h"
#include "database/staging.h"

#define SQLITE_FILE_HEAD 100U

/* The files beside a database: they belong to it, and to nothing else. */
#define SQLITE_SUFFIX_WAL "-wal"
#define SQLITE_SUFFIX_SHM "-shm"
#define SQLITE_SUFFIX_JOURNAL "-journal"

typedef enum SqliteState {
        SQLITE_FILE_EMPTY,  /* no bytes: a database in which nothing was ever made */
        SQLITE_FILE_ACTIVE, /* to be read through the library */
        /* Nobody has it open, but its last changes are beside it, or it keeps them there: to be opened, it
         * has to be written to. */
        SQLITE_FILE_AT_REST,
} SqliteState;

typedef struct SqliteFile {
        SqliteState state;
        bool wal;
        uint64_t size; /* with what lies beside it */
} SqliteFile;

/* Whether these are the first bytes of a database; *ret_wal: it has a write-ahead log. Pure. */
bool sqlite_head_parse(const uint8_t *p, size_t n, bool *ret_wal);
/* Whether a process has locks on the open database. Negative errno. */
int sqlite_is_locked(int fd) _warn_unused_;

/* -EBADMSG with a failure: no database. -ENOENT and the like with one, too. */
int sqlite_look(const char *path, SqliteFile *ret, Failure *reterr_failure) _warn_unused_;

enum {
        /* Positive outcomes. */
        SQLITE_E_NOT_NOW = 1, /* somebody has it open, or had a moment ago: look again */
};
/* Copies the files of a database at rest into staging as name; 0 where it is proved that nobody opened it
 * meanwhile. SQLITE_E_NOT_NOW. */
int sqlite_copy_at_rest(const char *path, const Staging *staging, const char *name,
                        const atomic_bool *cancel, Failure *reterr_failure) _warn_unused_;
