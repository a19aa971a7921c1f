#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a task backs up, by type, and the sources that are databases: one codec from the client's body over
 * the task's row to the job's spec. */

#include <errno.h>

#include "wire/json.h"

typedef enum SourceType {
        SOURCE_FILE,
        SOURCE_SQLITE,
        SOURCE_MYSQL,
        SOURCE_POSTGRESQL,
        SOURCE_SAPHANA,
        _SOURCE_TYPE_MAX,
        _SOURCE_TYPE_INVALID = -EINVAL,
} SourceType;

/* "file", "sqlite", "mysql", "postgresql", "saphana". */
DECLARE_STRING_TABLE(source_type, SourceType);

#define DATABASE_PATTERNS_MAX 256U
#define DATABASE_PATTERN_MAX 4096U
#define DATABASE_HOST_MAX 255U
#define DATABASE_USER_MAX 255U
#define DATABASE_NAME_MAX 255U

typedef enum DatabaseTls {
        DATABASE_TLS_OFF,
        DATABASE_TLS_REQUIRE, /* whoever the server is */
        DATABASE_TLS_VERIFY,
        _DATABASE_TLS_MAX,
        _DATABASE_TLS_INVALID = -EINVAL,
} DatabaseTls;

/* "off", "require", "verify". */
DECLARE_STRING_TABLE(database_tls, DatabaseTls);

/* {"host","port","socket","user","tls","tls_ca"}; its password is a secret, and elsewhere. */
typedef struct DatabaseServer {
        char *host;    /* NULL: through the socket */
        uint32_t port; /* 0: the usual one */
        char *socket;  /* absolute; NULL: through the network */
        char *user;
        DatabaseTls tls;
        char *tls_ca; /* absolute; NULL: those that the machine trusts */
} DatabaseServer;

#define DATABASE_SERVER_NULL ((DatabaseServer){})
void database_server_done(DatabaseServer *s);
/* What is wrong sticks to the reader. */
int database_server_read(JsonReader *r, DatabaseServer *ret);
int database_server_build(const DatabaseServer *s, json_t **ret) _warn_unused_;

/* By which member the second "server" of a source, as it was built, is another one than the first, or is
 * believed to be it on weaker grounds, so that a password of the first is not for the second; NULL: it is
 * for both. Borrowed from one of them. Pure. */
const char *database_server_moved(const json_t *before, const json_t *after);

/* sqlite: {"paths":["/var/lib/app/app.db","/srv/app-?.sqlite"]}
 * mysql, postgresql: {"server":{…},"databases":["shop","crm_*"],"exclude":["*_test"]}
 * saphana: the same, with a server of its own kind and more (wire/hana.h)
 * mysql: "one_snapshot":true as well */
typedef struct DatabaseSource {
        char **paths; /* absolute; a wildcard stays within one name */
        DatabaseServer server;
        char **databases; /* names, or patterns; none: all */
        char **exclude;
        struct HanaSettings *hana; /* of SAP HANA: instead of the server */
        bool one_snapshot;         /* all of them are of one moment */
} DatabaseSource;

#define DATABASE_SOURCE_NULL ((DatabaseSource){})
void database_source_done(DatabaseSource *s);
/* Reads the fields of one that is no SOURCE_FILE; the caller finishes the reader, strictly or not. What is
 * wrong sticks to it. */
int database_source_read(JsonReader *r, SourceType type, DatabaseSource *ret);
int database_source_build(const DatabaseSource *s, SourceType type, json_t **ret) _warn_unused_;
/* Whether the source names this database: by a name or pattern, and by none of those that are left out.
 * Pure. */
bool database_source_has(const DatabaseSource *s, const char *name);

/* Whether that is a pattern, and no name. Pure. */
bool database_name_is_pattern(const char *name);
/* Whether the source is of databases that nobody has named: all of them, or some by a pattern. Pure. */
bool database_source_is_open(const DatabaseSource *s);

/* Whether it is one of databases behind a server. Pure. */
static inline bool source_type_has_server(SourceType type) {
        return type == SOURCE_MYSQL || type == SOURCE_POSTGRESQL || type == SOURCE_SAPHANA;
}

/* Whether what is stored of it is a dump, which its server takes back. Pure. */
static inline bool source_type_has_dumps(SourceType type) {
        return type == SOURCE_MYSQL || type == SOURCE_POSTGRESQL;
}

/* Where a backup of one snapshot of MySQL has the tables of its databases; the path of one of them stands
 * for its routines and views, too. */
#define MYSQL_TABLES_PATH "/mysql/tables/"

/* Where a dump is restored to: {"path":"/mysql/shop.sql","name":"copy","drop":true,"server":{…}}, of
 * PostgreSQL "schemas":[…], "tables":[…], "no_owners":true as well. */
typedef struct DatabaseRestore {
        char *path;     /* in the backup; NULL: this is no restore into a server */
        char *name;     /* that it gets */
        bool drop;      /* what has the name now */
        char **schemas; /* only these; none: all */
        char **tables;
        bool no_owners; /* everything belongs to the user */
        DatabaseServer server;
} DatabaseRestore;

#define DATABASE_RESTORE_NULL ((DatabaseRestore){})
void database_restore_done(DatabaseRestore *d);
/* What is wrong sticks to the reader. Of a request the server is that of a task. */
int database_restore_read(JsonReader *r, bool with_server, DatabaseRestore *ret);
int database_restore_build(const DatabaseRestore *d, json_t **ret) _warn_unused_;
