/* SPDX-License-Identifier: Apache-2.0 */

#include <libpq-fe.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"
#include "base/place.h"
#include "base/text.h"
#include "database/pg-server.h"

#define CONNECT_TIMEOUT 10
#define QUERIES "-c statement_timeout=120s"
/* For who waits. */
#define BRIEF_CONNECT_TIMEOUT "5"
#define BRIEF_QUERIES "-c statement_timeout=5s"
#define DATABASES_MAX 10000
#define SOCKET_PREFIX ".s.PGSQL."
#define CA_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
/* SQLSTATE. */
#define NO_SUCH_DATABASE "3D000"

struct PgServer {
        PGconn *connection;
        char *place; /* for people */
        bool brief;  /* a person waits */
        PgFacts facts;
};

static void pqclear(PGresult **result) {
        PQclear(*result);
}

PgServer *pg_server_free(PgServer *s) {
        if (!s)
                return NULL;
        PQfinish(s->connection);
        free(s->place);
        return mfree(s);
}

const PgFacts *pg_server_facts(const PgServer *s) {
        return &s->facts;
}

void pg_databases_done(PgDatabases *d) {
        assert(d);

        for (size_t i = 0; i < d->n; i++)
                free(d->items[i].name);
        free(d->items);
        *d = PG_DATABASES_NULL;
}

/* --- What is told to the library and the programs ----------------------------------------------------- */

static int put(Buffer *b, const char *key, const char *value) {
        int r;

        if (!value)
                return 0;
        r = buffer_printf(b, "%s%s='", b->size > 0 ? " " : "", key);
        for (const char *p = value; r >= 0 && *p; p++) {
                if (*p == '\'' || *p == '\\')
                        r = buffer_add(b, "\\", 1);
                if (r >= 0)
                        r = buffer_add(b, p, 1);
        }
        return r < 0 ? r : buffer_add(b, "'", 1);
}

/* The library wants the directory of a socket, and its number. People may name the socket itself. */
static int put_place(Buffer *b, const DatabaseServer *where) {
        _cleanup_(freep) char *folder = NULL;
        const char *name;
        int r;

        if (where->host) {
                r = put(b, "host", where->host);
                if (r < 0)
                        return r;
                return buffer_printf(b, " port=%u", where->port > 0 ? where->port : PG_USUAL_PORT);
        }
        name = strrchr(where->socket, '/');
        if (!name || !startswith(name + 1, SOCKET_PREFIX)) {
                r = put(b, "host", where->socket);
                return r < 0 || where->port == 0 ? r : buffer_printf(b, " port=%u", where->port);
        }
        folder = strndup(where->socket, MAX((size_t) (name - where->socket), (size_t) 1));
        if (!folder)
                return -ENOMEM;
        r = put(b, "host", folder);
        return r < 0 ? r : put(b, "port", name + 1 + STRLEN(SOCKET_PREFIX));
}

static int put_tls(Buffer *b, const DatabaseServer *where) {
        const char *ca = where->tls_ca ?: place_ca_bundle(NULL);
        int r;

        switch (where->tls) {
        case DATABASE_TLS_REQUIRE:
                return put(b, "sslmode", "require");
        case DATABASE_TLS_VERIFY:
                r = put(b, "sslmode", "verify-full");
                return r < 0 ? r : put(b, "sslrootcert", ca);
        case DATABASE_TLS_OFF: /* not asked for */
        case _DATABASE_TLS_MAX:
        case _DATABASE_TLS_INVALID:
                break;
        }
        return 0;
}

int pg_conninfo(const DatabaseServer *where, const char *database, const char *passfile, char **ret) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        assert(where);
        assert(database);
        assert(ret);

        r = put_place(&b, where);
        if (r >= 0)
                r = put(&b, "user", where->user);
        if (r >= 0)
                r = put(&b, "dbname", database);
        if (r >= 0)
                r = put(&b, "passfile", passfile);
        if (r >= 0)
                r = put_tls(&b, where);
        if (r >= 0)
                r = buffer_printf(&b, " connect_timeout=%d application_name=backupx", CONNECT_TIMEOUT);
        if (r < 0)
                return r;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

int pg_passfile(const char *password, char **ret) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        assert(password);
        assert(ret);

        /* All at once: growing would leave copies of the password behind. */
        r = buffer_reserve(&b, 2 * strlen(password) + 32);
        if (r >= 0)
                r = buffer_add_string(&b, "*:*:*:*:");
        for (const char *p = password; r >= 0 && *p; p++) {
                if (*p == ':' || *p == '\\')
                        r = buffer_add(&b, "\\", 1);
                if (r >= 0)
                        r = buffer_add(&b, p, 1);
        }
        if (r >= 0)
                r = buffer_add(&b, "\n", 1);
        if (r < 0)
                return r;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

/* --- Connecting --------------------------------------------------------------------------------------- */

/* What the library says ends in a newline, and may have several lines. */
static int tell(const PgServer *s, int error, const char *code, const char *what, const char *text,
                Failure *reterr_failure) {
        _cleanup_(freep) char *line = strdup(text);

        if (!line)
                return -ENOMEM;
        for (size_t n = strlen(line); n > 0 && isspace((unsigned char) line[n - 1]); n--)
                line[n - 1] = 0;
        for (char *p = line; *p; p++)
                if (*p == '\n')
                        *p = ' ';
        return failure_set(reterr_failure, error, code, "The server at %s %s: %s", s->place, what, line);
}

static bool is_login(const char *text) {
        static const char *const marks[] = { "authentication failed", "no password supplied",
                                             "no pg_hba.conf entry", "pg_hba.conf rejects connection",
                                             "is not permitted to log in" };

        for (size_t i = 0; i < ELEMENTSOF(marks); i++)
                if (strstr(text, marks[i]))
                        return true;
        return false;
}

/* 1: there is no such database. The texts come in the language of the server; where it is another one than
 * English, a refused login is told as any other failure to connect. */
static int connect_to(PgServer *s, const DatabaseServer *where, const char *password, const char *database,
                      Failure *reterr_failure) {
        /* What stands behind dbname counts more than what is in it; what is NULL is not said. */
        static const char *const keys[] = { "dbname", "password", "client_encoding",
                                            "options", "connect_timeout", NULL };
        _cleanup_(freep) char *info = NULL;
        const char *values[ELEMENTSOF(keys)] = { NULL, password, "UTF8", s->brief ? BRIEF_QUERIES : QUERIES,
                                                 s->brief ? BRIEF_CONNECT_TIMEOUT : NULL, NULL };
        const char *text;
        int r;

        r = pg_conninfo(where, database, /* passfile= */ NULL, &info);
        if (r < 0)
                return r;
        values[0] = info;
        PQfinish(s->connection);
        s->connection = PQconnectdbParams(keys, values, /* expand_dbname= */ 1);
        if (!s->connection)
                return -ENOMEM;
        if (PQstatus(s->connection) == CONNECTION_OK)
                return 0;
        text = PQerrorMessage(s->connection);
        if (strstr(text, "does not exist") && strstr(text, database))
                return 1;
        if (is_login(text))
                return tell(s, -EACCES, "LOGIN_REFUSED", "refuses the login", text, reterr_failure);
        return tell(s, -ECONNREFUSED, "SERVER_UNREACHABLE", "cannot be reached", text, reterr_failure);
}

static int ask(PgServer *s, const char *sql, PGresult **ret, Failure *reterr_failure) {
        PGresult *result = PQexec(s->connection, sql);
        ExecStatusType status = PQresultStatus(result);

        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
                PQclear(result);
                return tell(s, -EIO, "QUERY_FAILED", "answers", PQerrorMessage(s->connection),
                            reterr_failure);
        }
        *ret = result;
        return 0;
}

static int learn(PgServer *s, Failure *reterr_failure) {
        _cleanup_(pqclear) PGresult *result = NULL;
        int number = PQserverVersion(s->connection), r;

        s->facts.major = number > 0 ? (unsigned) number / 10000U : 0;
        (void) snprintf(s->facts.version, sizeof s->facts.version, "%.63s",
                        strempty(PQparameterStatus(s->connection, "server_version")));
        s->facts.superuser = streq(strempty(PQparameterStatus(s->connection, "is_superuser")), "on");
        r = ask(s, "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')", &result, reterr_failure);
        if (r < 0)
                return r;
        s->facts.role_passwords = PQntuples(result) == 1 && streq(PQgetvalue(result, 0, 0), "t");
        return 0;
}

static int open_server(const DatabaseServer *where, const char *password, bool brief, PgServer **ret,
                       Failure *reterr_failure) {
        _cleanup_(pg_server_freep) PgServer *s = NULL;
        int r;

        assert(where);
        assert(ret);

        s = new0(PgServer, 1);
        if (!s)
                return -ENOMEM;
        s->brief = brief;
        r = where->socket ? asprintf_safe(&s->place, "%s", where->socket) :
                            asprintf_safe(&s->place, "%s:%u", where->host,
                                          where->port > 0 ? where->port : PG_USUAL_PORT);
        if (r >= 0)
                r = connect_to(s, where, password, PG_USUAL_DATABASE, reterr_failure);
        if (r > 0)
                r = connect_to(s, where, password, PG_OTHER_DATABASE, reterr_failure);
        if (r > 0)
                return failure_set(reterr_failure, -ENOENT, "DATABASE_MISSING",
                                   "The server at %s has neither a database '" PG_USUAL_DATABASE
                                   "' nor '" PG_OTHER_DATABASE "' to ask",
                                   s->place);
        if (r >= 0)
                r = learn(s, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int pg_server_open(const DatabaseServer *where, const char *password, PgServer **ret,
                   Failure *reterr_failure) {
        return open_server(where, password, /* brief= */ false, ret, reterr_failure);
}

int pg_server_open_briefly(const DatabaseServer *where, const char *password, PgServer **ret,
                           Failure *reterr_failure) {
        return open_server(where, password, /* brief= */ true, ret, reterr_failure);
}

int pg_server_enter(PgServer *s, const DatabaseServer *where, const char *password, const char *database,
                    Failure *reterr_failure) {
        int r;

        assert(s);
        assert(where);
        assert(database);

        r = connect_to(s, where, password, database, reterr_failure);
        if (r > 0)
                return failure_set(reterr_failure, -ENOENT, "DATABASE_MISSING",
                                   "There is no database '%s' on the server at %s", database, s->place);
        return r;
}

/* --- Looking ------------------------------------------------------------------------------------------ */

int pg_server_rows(PgServer *s, const char *sql, PgRow row, void *userdata, Failure *reterr_failure) {
        _cleanup_(pqclear) PGresult *result = NULL;
        char *values[PG_COLUMNS_MAX];
        int r, columns;

        assert(s);
        assert(row);

        r = ask(s, sql, &result, reterr_failure);
        if (r < 0)
                return r;
        columns = PQnfields(result);
        assert(columns <= PG_COLUMNS_MAX);
        for (int i = 0; i < PQntuples(result) && r >= 0; i++) {
                for (int c = 0; c < columns; c++)
                        values[c] = PQgetisnull(result, i, c) ? NULL : PQgetvalue(result, i, c);
                r = row(userdata, values);
        }
        return MIN(r, 0);
}

static const char databases_sql[] =
                "SELECT datname, CASE WHEN has_database_privilege(oid, 'CONNECT')"
                " THEN pg_database_size(oid) ELSE 0 END FROM pg_catalog.pg_database"
                " WHERE datallowconn AND NOT datistemplate ORDER BY datname COLLATE \"C\"";

int pg_server_databases(PgServer *s, PgDatabases *ret, Failure *reterr_failure) {
        _cleanup_(pg_databases_done) PgDatabases found = PG_DATABASES_NULL;
        _cleanup_(pqclear) PGresult *result = NULL;
        int n, r;

        assert(s);
        assert(ret);

        r = ask(s, databases_sql, &result, reterr_failure);
        if (r < 0)
                return r;
        n = PQntuples(result);
        if (n > DATABASES_MAX)
                return failure_set(reterr_failure, -E2BIG, "SOURCE_INVALID",
                                   "The server at %s has more than %d databases", s->place, DATABASES_MAX);
        found.items = new0(PgDatabase, (size_t) n + 1);
        if (!found.items)
                return -ENOMEM;
        for (int i = 0; i < n; i++) {
                PgDatabase *d = found.items + found.n++;

                d->name = strdup(PQgetvalue(result, i, 0));
                if (!d->name)
                        return -ENOMEM;
                if (parse_u64(PQgetvalue(result, i, 1), 0, UINT64_MAX, &d->size) < 0)
                        d->size = 0;
        }
        *ret = found;
        found = PG_DATABASES_NULL;
        return 0;
}

/* --- Restoring ---------------------------------------------------------------------------------------- */

#define CREATE "CREATE DATABASE "
#define WITH " WITH TEMPLATE = template0 "

static bool is_option_char(char c) {
        return isalnum((unsigned char) c) || strchr(" ='._-@", c);
}

/* A dump has the statement that made its database: "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING
 * = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8';". */
int pg_head_create_options(const char *head, size_t n, char **ret) {
        const char *at, *end;

        assert(head || n == 0);
        assert(ret);

        at = n > 0 ? memmem(head, n, CREATE, STRLEN(CREATE)) : NULL;
        at = at ? memmem(at, n - (size_t) (at - head), WITH, STRLEN(WITH)) : NULL;
        if (at) {
                at += STRLEN(WITH);
                for (end = at; end < head + n && is_option_char(*end); end++)
                        ;
                if (end < head + n && *end == ';') {
                        *ret = memdup0(at, (size_t) (end - at));
                        return *ret ? 0 : -ENOMEM;
                }
        }
        *ret = strdup("");
        return *ret ? 0 : -ENOMEM;
}

static int run(PgServer *s, const char *verb, const char *name, const char *more, Failure *reterr_failure) {
        _cleanup_(pqclear) PGresult *result = NULL;
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        char *quoted;
        int r;

        quoted = PQescapeIdentifier(s->connection, name, strlen(name));
        if (!quoted)
                return -ENOMEM;
        r = buffer_printf(&b, "%s %s%s", verb, quoted, more);
        PQfreemem(quoted);
        return r < 0 ? r : ask(s, b.data, &result, reterr_failure);
}

static int exists(PgServer *s, const char *name, bool *ret, Failure *reterr_failure) {
        _cleanup_(pqclear) PGresult *result = NULL;
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        char *quoted;
        int r;

        quoted = PQescapeLiteral(s->connection, name, strlen(name));
        if (!quoted)
                return -ENOMEM;
        r = buffer_printf(&b, "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", quoted);
        PQfreemem(quoted);
        if (r >= 0)
                r = ask(s, b.data, &result, reterr_failure);
        if (r >= 0)
                *ret = PQntuples(result) > 0;
        return r;
}

int pg_server_prepare(PgServer *s, const char *name, const char *options, PgExisting existing,
                      Failure *reterr_failure) {
        _cleanup_(freep) char *with = NULL;
        bool there = false;
        int r;

        assert(s);
        assert(name);
        assert(options);

        r = exists(s, name, &there, reterr_failure);
        if (r < 0)
                return r;
        if (there && existing == PG_EXISTING_REFUSE)
                return failure_set(reterr_failure, -EEXIST, "DATABASE_EXISTS",
                                   "There is a database '%s' on the server at %s: restore under another "
                                   "name, or have it dropped first",
                                   name, s->place);
        if (there && existing == PG_EXISTING_KEEP)
                return 0;
        r = asprintf_safe(&with, " WITH TEMPLATE = template0 %s", options);
        if (r >= 0 && there)
                r = run(s, "DROP DATABASE", name, s->facts.major >= 13 ? " WITH (FORCE)" : "",
                        reterr_failure);
        return r < 0 ? r : run(s, "CREATE DATABASE", name, with, reterr_failure);
}
