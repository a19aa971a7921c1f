#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Databases of PostgreSQL as the streams of a backup: /postgresql/NAME.dump is what pg_dump prints of one in
 * its own format without compression, /postgresql/globals.sql the roles and tablespaces of the server. A
 * dump counts when its program ended well. While one is read the programs of the next have begun. */

#include "archive/streams.h"
#include "database/pg-tool.h"

#define PG_FOLDER "postgresql"
#define PG_SUFFIX ".dump"
#define PG_GLOBALS PG_FOLDER "/globals.sql"

typedef struct PgSource PgSource;

typedef struct PgSourceArgs {
        const DatabaseSource *source;
        const char *password; /* NULL: none */
        ToolFinder finder;
        const atomic_bool *cancel;
        unsigned parallel; /* 0: PG_SOURCE_PARALLEL */
} PgSourceArgs;

#define PG_SOURCE_PARALLEL 2U

/* Asks the server; whatever would fail later is told now. args must outlive it. */
int pg_source_new(const PgSourceArgs *args, PgSource **ret, Failure *reterr_failure) _warn_unused_;
PgSource *pg_source_free(PgSource *s);
/* What the backup is of: "/postgresql". */
char *const *pg_source_paths(const PgSource *s);
const BackupStreams *pg_source_streams(const PgSource *s);

DEFINE_CLEANUP(PgSource *, pg_source_free);
