#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A server of MySQL or MariaDB, asked for what a backup has to know: who it is, which databases it has, and
 * whether this user may see all that is to be backed up. What a user may not see is not an error of the
 * server but silently missing, so that has to be asked for. */

#include "base/failure.h"
#include "wire/database.h"

#define MYSQL_USUAL_PORT 3306U
/* For SQL: the databases that are a part of the server itself, and what has rows of its own. */
#define MYSQL_OWN_DATABASES "'information_schema', 'performance_schema', 'sys', 'mysql'"
#define MYSQL_TABLE_TYPES "'BASE TABLE', 'SYSTEM VERSIONED'"

typedef struct MysqlServer MysqlServer;

typedef struct MysqlFacts {
        bool mariadb;
        unsigned major, minor;
        char version[64];
        bool position; /* the place in its binary log may be asked for */
} MysqlFacts;

/* One database. */
typedef struct MysqlDatabase {
        char *name;
        char *charset, *collation;
        uint64_t size;              /* as the server thinks */
        unsigned not_transactional; /* tables whose engine has no transactions */
        unsigned views;
} MysqlDatabase;

typedef struct MysqlDatabases {
        MysqlDatabase *items;
        size_t n;
} MysqlDatabases;

#define MYSQL_DATABASES_NULL ((MysqlDatabases){})
void mysql_databases_done(MysqlDatabases *d);

/* -ECONNREFUSED, SERVER_UNREACHABLE; -EACCES, LOGIN_REFUSED. The password may be NULL. */
int mysql_server_open(const DatabaseServer *where, const char *password, MysqlServer **ret,
                      Failure *reterr_failure) _warn_unused_;
/* The same for a person who waits: each step has seconds where it has minutes otherwise, and the server ends
 * a question that nobody waits for any more. */
int mysql_server_open_briefly(const DatabaseServer *where, const char *password, MysqlServer **ret,
                              Failure *reterr_failure) _warn_unused_;
MysqlServer *mysql_server_free(MysqlServer *s);
const MysqlFacts *mysql_server_facts(const MysqlServer *s);

/* Each row of an answer, if there are any, with NULL for what is NULL. A negative return ends it, and is
 * returned. */
typedef int (*MysqlRow)(void *userdata, char *const *values);
int mysql_server_rows(MysqlServer *s, const char *sql, MysqlRow row, void *userdata,
                      Failure *reterr_failure) _warn_unused_;

/* All that are no part of the server itself, by the bytes of their names. */
int mysql_server_databases(MysqlServer *s, MysqlDatabases *ret, Failure *reterr_failure) _warn_unused_;
/* Whether the user sees all databases, and all routines and triggers in them. -EACCES, PRIVILEGE_MISSING. */
int mysql_server_check_rights(MysqlServer *s, bool all_databases, Failure *reterr_failure) _warn_unused_;

/* CREATE DATABASE, after DROP DATABASE where asked. -EEXIST, DATABASE_EXISTS: it is there and has tables. */
int mysql_server_prepare(MysqlServer *s, const char *name, bool drop, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(MysqlServer *, mysql_server_free);
