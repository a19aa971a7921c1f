#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The programs that backups of this host may use, where they are, and what they say of their version. The
 * agent looks for them without running any; a job asks them. */

#include "base/macros.h"

/* Where they are looked for, in this order; the list of BACKUPX_AGENT_TOOLS_PATH in its place. */
#define TOOLS_PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/sap/hdbclient"

typedef struct Tool {
        const char *name;
        const char *flag; /* makes it print its version and end */
} Tool;

#define TOOLS_MAX 16
/* The table, which has *ret_n rows, at most TOOLS_MAX. */
const Tool *tools_table(size_t *ret_n);

/* The first program of this name in the list of directories. -ENOENT. Allocates. */
int tool_find(const char *directories, const char *name, char **ret) _warn_unused_;

/* A number that changes when a program comes, goes, or is replaced: of paths, sizes and times. */
uint64_t tools_signature(const char *directories);

/* The version in what a tool printed, "15.6" of "pg_dump (PostgreSQL) 15.6 (Debian …)"; -ENODATA. Pure. */
#define TOOL_VERSION_MAX 48
int tool_version_parse(const char *text, size_t n, char ret[static TOOL_VERSION_MAX]) _warn_unused_;
