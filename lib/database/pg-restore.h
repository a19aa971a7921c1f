#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A dump of PostgreSQL's own format into a server: in one transaction, which the first error takes back. */

#include "database/pg-tool.h"

typedef struct PgRestore PgRestore;

typedef struct PgRestoreArgs {
        const DatabaseServer *server;
        const char *password;
        const char *database; /* the name that it gets */
        bool drop;            /* what has the name now */
        /* Only these; NULL: everything. Then the database may be there and keep what it has. */
        char *const *schemas;
        char *const *tables;
        bool no_owners; /* everything belongs to the user, with the rights that new objects have */
        ToolFinder finder;
        const atomic_bool *cancel;
} PgRestoreArgs;

/* Asks the server. The database is made, and pg_restore started, when the dump begins. args must outlive
 * it. */
int pg_restore_new(const PgRestoreArgs *args, PgRestore **ret, Failure *reterr_failure) _warn_unused_;
PgRestore *pg_restore_free(PgRestore *r);
/* Where the dump is to be written; -EPIPE: the program has ended, pg_restore_end() says why. */
int pg_restore_fd(const PgRestore *r);
/* After all of it. RESTORE_FAILED with the server's error; -ENODATA without a failure: nothing came, and
 * nothing was done. */
int pg_restore_end(PgRestore *r, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(PgRestore *, pg_restore_free);
