#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Databases of MySQL or MariaDB as the streams of a backup: /mysql/NAME.sql is what the server's own dump
 * program prints of one, within one transaction, with what the database is by default in front. A dump
 * counts when the program ended well and its last line is there; else the run fails. /mysql/accounts is who
 * may log in to the server.
 *
 * Where all databases are to be of one moment, one run of the program prints all of them, and a database is
 * what three streams have in this order: /mysql/tables/NAME.sql, /mysql/routines/NAME.sql (and triggers and
 * events), /mysql/views/NAME.sql, the last of which may be missing. */

#include "archive/streams.h"
#include "database/mysql-tool.h"

#define MYSQL_FOLDER "mysql"
#define MYSQL_SUFFIX ".sql"
/* No database has this path. */
#define MYSQL_ACCOUNTS MYSQL_FOLDER "/accounts"
#define MYSQL_ROUTINES MYSQL_FOLDER "/routines"
#define MYSQL_TABLES MYSQL_FOLDER "/tables"
#define MYSQL_VIEWS MYSQL_FOLDER "/views"

typedef struct MysqlSource MysqlSource;

typedef struct MysqlSourceArgs {
        const DatabaseSource *source;
        const char *password; /* NULL: none */
        ToolFinder finder;
        const atomic_bool *cancel;
} MysqlSourceArgs;

/* Asks the server; whatever would fail later is told now. args must outlive it. */
int mysql_source_new(const MysqlSourceArgs *args, MysqlSource **ret, Failure *reterr_failure) _warn_unused_;
MysqlSource *mysql_source_free(MysqlSource *s);
/* What the backup is of: "/mysql". */
char *const *mysql_source_paths(const MysqlSource *s);
const BackupStreams *mysql_source_streams(const MysqlSource *s);
/* How many databases it is of. */
size_t mysql_source_count(const MysqlSource *s);

/* The path of a database in a backup, without its first '/', and back: NULL where it is none. Allocate.
 * Pure. */
char *mysql_path_of(const char *database);
char *mysql_database_of(const char *path);

DEFINE_CLEANUP(MysqlSource *, mysql_source_free);
