#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The databases of a backup command, as what lib/archive and lib/repository take. */

#include "agent/job/kinds.h"
#include "archive/backup.h"
#include "database/hana-source.h"
#include "database/mysql-source.h"
#include "database/pg-source.h"
#include "database/sqlite-source.h"

typedef struct JobDatabases {
        const JobRun *run;
        SqliteSourceArgs sqlite_args;
        SqliteSource *sqlite;
        MysqlSourceArgs mysql_args;
        MysqlSource *mysql;
        PgSourceArgs pg_args;
        PgSource *pg;
        HanaSourceArgs hana_args;
        HanaSource *hana;
} JobDatabases;

/* Where the programs of databases are on this host. */
ToolFinder job_tool_finder(const JobRun *run);
/* The same with the places of hdbsql. */
ToolFinder job_hana_finder(const JobRun *run);
void job_databases_done(JobDatabases *d);
/* Finds them and puts paths and streams into *args; spec must outlive it, and *ret must not move. */
int job_databases_open(const JobRun *run, const BackupSpec *spec, JobDatabases *ret, BackupArgs *args,
                       Failure *reterr_failure) _warn_unused_;
/* After all of it was stored: what a database wrote for the backup alone is removed. */
void job_databases_stored(JobDatabases *d);
