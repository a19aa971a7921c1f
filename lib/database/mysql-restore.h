#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A dump into a server: the client program takes it, obeys nothing in it but SQL, and stops at the first
 * error. */

#include "database/mysql-tool.h"

typedef struct MysqlRestore MysqlRestore;

typedef struct MysqlRestoreArgs {
        const DatabaseServer *server;
        const char *password;
        const char *database; /* the name that it gets */
        bool drop;            /* what has the name now */
        ToolFinder finder;
        const atomic_bool *cancel;
} MysqlRestoreArgs;

/* Asks the server. The database is made, and the client started, when the dump begins. args must outlive
 * it. */
int mysql_restore_new(const MysqlRestoreArgs *args, MysqlRestore **ret,
                      Failure *reterr_failure) _warn_unused_;
MysqlRestore *mysql_restore_free(MysqlRestore *r);
/* Where the dump is to be written; -EPIPE: the client has ended, mysql_restore_end() says why. */
int mysql_restore_fd(const MysqlRestore *r);
/* After all of it. RESTORE_FAILED with the server's error and its line; -ENODATA without a failure: nothing
 * came, and nothing was done. */
int mysql_restore_end(MysqlRestore *r, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(MysqlRestore *, mysql_restore_free);
