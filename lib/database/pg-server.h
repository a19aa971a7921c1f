#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A server of PostgreSQL, asked for what a backup has to know. What a user may not read is an error of the
 * dump program, so rights need no check of their own, but for the passwords of roles. */

#include "base/failure.h"
#include "wire/database.h"

#define PG_USUAL_PORT 5432U
/* Where questions about the whole server are asked, and where else when it is not there. */
#define PG_USUAL_DATABASE "postgres"
#define PG_OTHER_DATABASE "template1"

typedef struct PgServer PgServer;

typedef struct PgFacts {
        unsigned major;
        char version[64];
        bool role_passwords; /* this user may read them */
        bool superuser;      /* and everything else */
} PgFacts;

typedef struct PgDatabase {
        char *name;
        uint64_t size; /* 0: this user may not know */
} PgDatabase;

typedef struct PgDatabases {
        PgDatabase *items;
        size_t n;
} PgDatabases;

#define PG_DATABASES_NULL ((PgDatabases){})
void pg_databases_done(PgDatabases *d);

/* What the library and the programs are told of a database: a connection string without a password. passfile
 * is where the programs find it; NULL: none. Allocates. Pure, but for the place of the machine's
 * certificates. */
int pg_conninfo(const DatabaseServer *where, const char *database, const char *passfile,
                char **ret) _warn_unused_;
/* The content of that file: wipe it. */
int pg_passfile(const char *password, char **ret) _warn_unused_;

/* -ECONNREFUSED, SERVER_UNREACHABLE; -EACCES, LOGIN_REFUSED. The password may be NULL. */
int pg_server_open(const DatabaseServer *where, const char *password, PgServer **ret,
                   Failure *reterr_failure) _warn_unused_;
/* The same for a person who waits: each step has seconds where it has minutes otherwise. */
int pg_server_open_briefly(const DatabaseServer *where, const char *password, PgServer **ret,
                           Failure *reterr_failure) _warn_unused_;
PgServer *pg_server_free(PgServer *s);
const PgFacts *pg_server_facts(const PgServer *s);
/* Goes on in another database of the same server; after a failure the connection is of no use. */
int pg_server_enter(PgServer *s, const DatabaseServer *where, const char *password, const char *database,
                    Failure *reterr_failure) _warn_unused_;

/* Each row of an answer of at most PG_COLUMNS_MAX columns, with NULL for what is NULL. A negative return
 * ends it, and is returned. */
#define PG_COLUMNS_MAX 8
typedef int (*PgRow)(void *userdata, char *const *values);
int pg_server_rows(PgServer *s, const char *sql, PgRow row, void *userdata,
                   Failure *reterr_failure) _warn_unused_;

/* All that are no templates, by the bytes of their names. */
int pg_server_databases(PgServer *s, PgDatabases *ret, Failure *reterr_failure) _warn_unused_;

/* What follows the name in CREATE DATABASE; its words come from a dump, whose beginning this is. "" where it
 * says nothing that can be trusted to be such words. Allocates. Pure. */
#define PG_HEAD_SIZE (256U << 10)
int pg_head_create_options(const char *head, size_t n, char **ret) _warn_unused_;

/* What becomes of a database that is there already. */
typedef enum PgExisting {
        PG_EXISTING_REFUSE,
        PG_EXISTING_KEEP,
        PG_EXISTING_DROP,
} PgExisting;

/* CREATE DATABASE, where it is not there, or no more. -EEXIST, DATABASE_EXISTS. */
int pg_server_prepare(PgServer *s, const char *name, const char *options, PgExisting existing,
                      Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(PgServer *, pg_server_free);
