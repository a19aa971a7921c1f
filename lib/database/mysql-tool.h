#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The programs of MySQL and MariaDB: the right one for a server, and what it is told in private. */

#include <stdatomic.h>

#include "database/mysql-server.h"
#include "database/tool.h"

typedef struct MysqlTool {
        char *path;
        const char *name;
        bool mariadb;
        unsigned major, minor;
} MysqlTool;

#define MYSQL_TOOL_NULL ((MysqlTool){})
void mysql_tool_done(MysqlTool *t);

typedef enum MysqlToolKind {
        MYSQL_TOOL_DUMP,
        MYSQL_TOOL_CLIENT,
} MysqlToolKind;

/* The one that belongs to the server, and is not older. TOOL_MISSING, TOOL_MISMATCH. */
int mysql_tool_find(MysqlToolKind kind, const MysqlFacts *server, const ToolFinder *finder,
                    const atomic_bool *cancel, MysqlTool *ret, Failure *reterr_failure) _warn_unused_;
/* Whether that is the version of a tool of either; -EPROTO. Pure. */
int mysql_tool_parse_version(const char *text, MysqlTool *ret) _warn_unused_;
/* The file of options, with the password: wipe it. */
int mysql_tool_options(const MysqlTool *t, const DatabaseServer *where, const char *password,
                       char **ret) _warn_unused_;
