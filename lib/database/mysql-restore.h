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
/* Writes the file of a backup at this path to a descriptor; -ENOENT with PATH_NOT_FOUND or
 * PATH_MISSING. */
typedef int (*MysqlGive)(void *userdata, const char *path, int fd, Failure *reterr_failure);
/* The dump at this path, through give; of tables out of one snapshot also what belongs to them. -EPIPE: the
 * client has ended, mysql_restore_end() says why. */
int mysql_restore_give(const MysqlRestore *r, const char *path, MysqlGive give, void *userdata,
                       Failure *reterr_failure) _warn_unused_;
/* After all of it. RESTORE_FAILED with the server's error and its line; -ENODATA without a failure: nothing
 * came, and nothing was done. */
int mysql_restore_end(MysqlRestore *r, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(MysqlRestore *, mysql_restore_free);
