#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The databases of a backup command, as what lib/archive and lib/repository take. */

#include "agent/job/kinds.h"
#include "archive/backup.h"
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
} JobDatabases;

/* Where the programs of databases are on this host. */
ToolFinder job_tool_finder(const JobRun *run);
void job_databases_done(JobDatabases *d);
/* Finds them and puts paths and streams into *args; spec must outlive it, and *ret must not move. */
int job_databases_open(const JobRun *run, const BackupSpec *spec, JobDatabases *ret, BackupArgs *args,
                       Failure *reterr_failure) _warn_unused_;
