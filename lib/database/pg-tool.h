#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The programs of PostgreSQL. A machine may have those of several versions. */

#include <stdatomic.h>

#include "database/pg-server.h"
#include "database/tool.h"

/* Where distributions put the programs of each version. */
extern char *const pg_versions_default[];

/* How a dump of pg_dump's own format begins. */
#define PG_MAGIC "PGDMP"

typedef struct PgTool {
        char *path;
        unsigned major;
} PgTool;

#define PG_TOOL_NULL ((PgTool){})
void pg_tool_done(PgTool *t);

/* The newest, which must not be older than the server. name: "pg_dump" and so on. TOOL_MISSING,
 * TOOL_MISMATCH. */
int pg_tool_find(const char *name, const PgFacts *server, const ToolFinder *finder,
                 const atomic_bool *cancel, PgTool *ret, Failure *reterr_failure) _warn_unused_;
/* "pg_dump (PostgreSQL) 15.18 (Debian …)": 15; 0: it does not say. Pure. */
unsigned pg_tool_parse_version(const char *text);
