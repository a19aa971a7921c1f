#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A copy of a database of SQLite that is in use: one state that existed, checked whole. The database is only
 * read, and nothing is made beside it.
 *
 * With a write-ahead log one read transaction is held for the whole copy: writers go on, and it is done
 * after one pass. Without one a reader keeps all writers out, so there the lock is given back every few
 * milliseconds, and the library begins again when something was written; only where that never ends is it
 * held. What nobody has open cannot be opened without writing, and is copied as files. */

#include <stdatomic.h>

#include "base/failure.h"
#include "base/times.h"
#include "database/staging.h"

/* How long a lock of somebody else is waited for. */
#define SQLITE_COPY_BUSY (60 * USEC_PER_SEC)
/* After so many beginnings again the lock is held. */
#define SQLITE_COPY_RESTARTS 3

typedef struct SqliteCopyArgs {
        const char *path; /* absolute */
        Staging *staging; /* what is in it is removed first */
        const atomic_bool *cancel;
        usec_t busy; /* 0: SQLITE_COPY_BUSY */
} SqliteCopyArgs;

typedef struct SqliteCopy {
        int fd; /* of the copy, which has no name any more */
        uint64_t size;
        bool at_rest;
        unsigned restarts;
        bool held;      /* without a write-ahead log: writers had to wait */
        bool unchecked; /* not all of its tables could be checked */
} SqliteCopy;

#define SQLITE_COPY_NULL ((SqliteCopy){ .fd = -EBADF })

void sqlite_copy_done(SqliteCopy *c);
/* -EBADMSG: no database; -EBUSY: locked for too long; -EUCLEAN: damaged; -ENOSPC; -ECANCELED. All but the
 * last with a failure. */
int sqlite_copy(const SqliteCopyArgs *args, SqliteCopy *ret, Failure *reterr_failure) _warn_unused_;
