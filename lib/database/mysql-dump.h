#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One run of the server's own dump program. It counts when the program ended well and its last line is
 * there. */

#include <stdatomic.h>

#include "database/mysql-tool.h"

typedef struct MysqlDump MysqlDump;

typedef enum MysqlDumpKind {
        MYSQL_DUMP_ALL,      /* of one database */
        MYSQL_DUMP_ROUTINES, /* of one: triggers, routines and events alone */
        MYSQL_DUMP_TABLES,   /* and views, of any number, with marks between them */
} MysqlDumpKind;

typedef struct MysqlDumpArgs {
        const MysqlTool *tool;
        const MysqlFacts *facts; /* of the server */
        const char *options;     /* as of mysql_tool_options() */
        const atomic_bool *cancel;
} MysqlDumpArgs;

/* args must outlive it; the names need not. */
int mysql_dump_new(const MysqlDumpArgs *args, MysqlDumpKind kind, char *const *databases, size_t n,
                   MysqlDump **ret, Failure *reterr_failure) _warn_unused_;
MysqlDump *mysql_dump_free(MysqlDump *d);
/* Up to n bytes; 0: that was all of it, and it is whole. DUMP_FAILED, DUMP_INCOMPLETE. */
ssize_t mysql_dump_read(MysqlDump *d, void *p, size_t n, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(MysqlDump *, mysql_dump_free);
