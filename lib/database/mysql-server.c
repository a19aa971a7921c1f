/* SPDX-License-Identifier: Apache-2.0 */

#include <mysql.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"
#include "base/place.h"
#include "base/text.h"
#include "database/mysql-server.h"

#define CONNECT_TIMEOUT 10U
#define QUERY_TIMEOUT 120U
/* For who waits. A server that knows how ends a question a moment before we do, and says so. */
#define BRIEF_CONNECT_TIMEOUT 5U
#define BRIEF_QUERY_TIMEOUT 5U
#define BRIEF_MARIADB "SET SESSION max_statement_time = 4"
#define BRIEF_MYSQL "SET SESSION max_execution_time = 4000"
#define DATABASES_MAX 10000U

/* Of the server's errors. */
#define ER_ACCESS_DENIED 1045
#define ER_ACCESS_DENIED_UNASKED 1698
#define ER_NO_SUCH_PLUGIN 1524
#define CR_FIRST 2000
/* What a login may ask for: nothing that sends the password as it is. */
#define LOGINS "mysql_native_password,caching_sha2_password,client_ed25519,sha256_password"
/* Where a package that brings the library along has the plugins of these. */
#define PLUGINS "../lib/mysql-plugins"
#define CA_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

struct MysqlServer {
        MYSQL *connection;
        char *place; /* for people */
        MysqlFacts facts;
};

MysqlServer *mysql_server_free(MysqlServer *s) {
        if (!s)
                return NULL;
        if (s->connection)
                mysql_close(s->connection);
        free(s->place);
        return mfree(s);
}

const MysqlFacts *mysql_server_facts(const MysqlServer *s) {
        return &s->facts;
}

void mysql_databases_done(MysqlDatabases *d) {
        assert(d);

        for (size_t i = 0; i < d->n; i++) {
                free(d->items[i].name);
                free(d->items[i].charset);
                free(d->items[i].collation);
        }
        free(d->items);
        *d = MYSQL_DATABASES_NULL;
}

/* --- Connecting --------------------------------------------------------------------------------------- */

/* The server's text may hold whatever it likes. */
static int refuse(const MysqlServer *s, Failure *reterr_failure) {
        unsigned code = mysql_errno(s->connection);
        const char *text = mysql_error(s->connection);

        if (code == ER_ACCESS_DENIED || code == ER_ACCESS_DENIED_UNASKED || code == ER_NO_SUCH_PLUGIN)
                return failure_set(reterr_failure, -EACCES, "LOGIN_REFUSED",
                                   "The server at %s refuses the login: %s", s->place, text);
        if (code >= CR_FIRST)
                return failure_set(reterr_failure, -ECONNREFUSED, "SERVER_UNREACHABLE",
                                   "The server at %s cannot be reached: %s", s->place, text);
        return failure_set(reterr_failure, -EIO, "QUERY_FAILED", "The server at %s answers: %s (error %u)",
                           s->place, text, code);
}

static void set_tls(MYSQL *m, const DatabaseServer *where) {
        my_bool on = 1, verify = where->tls == DATABASE_TLS_VERIFY;
        const char *ca = where->tls_ca;

        if (where->tls == DATABASE_TLS_OFF)
                return;
        /* Where one is named, the library wants a certificate of it, whether it is to verify or not. */
        if (!ca && verify)
                ca = place_ca_bundle(CA_BUNDLE);
        (void) mysql_optionsv(m, MYSQL_OPT_SSL_ENFORCE, &on);
        (void) mysql_optionsv(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
        if (ca)
                (void) mysql_optionsv(m, MYSQL_OPT_SSL_CA, ca);
}

static void set_options(MYSQL *m, const DatabaseServer *where, bool brief) {
        const unsigned connect_timeout = brief ? BRIEF_CONNECT_TIMEOUT : CONNECT_TIMEOUT;
        const unsigned query_timeout = brief ? BRIEF_QUERY_TIMEOUT : QUERY_TIMEOUT;
        static const unsigned over_tcp = MYSQL_PROTOCOL_TCP, over_socket = MYSQL_PROTOCOL_SOCKET;
        static const unsigned no_files = 0;
        _cleanup_(freep) char *plugins = NULL;

        (void) mysql_optionsv(m, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout);
        (void) mysql_optionsv(m, MYSQL_OPT_READ_TIMEOUT, &query_timeout);
        (void) mysql_optionsv(m, MYSQL_OPT_WRITE_TIMEOUT, &query_timeout);
        (void) mysql_optionsv(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
        (void) mysql_optionsv(m, MYSQL_OPT_PROTOCOL, where->socket ? &over_socket : &over_tcp);
        /* A server must not ask for files of this host: this job may read all of them. */
        (void) mysql_optionsv(m, MYSQL_OPT_LOCAL_INFILE, &no_files);
        (void) mysql_optionsv(m, MARIADB_OPT_RESTRICTED_AUTH, LOGINS);
        if (place_beside_program(PLUGINS, &plugins) >= 0)
                (void) mysql_optionsv(m, MYSQL_PLUGIN_DIR, plugins);
        set_tls(m, where);
}

/* One value of one row; *ret stays NULL where there is none. */
static int ask(MysqlServer *s, const char *sql, char **ret, Failure *reterr_failure) {
        _cleanup_(freep) char *value = NULL;
        MYSQL_RES *result;
        MYSQL_ROW row;

        if (mysql_query(s->connection, sql) != 0)
                return refuse(s, reterr_failure);
        result = mysql_store_result(s->connection);
        if (!result)
                return refuse(s, reterr_failure);
        row = mysql_fetch_row(result);
        if (row && row[0]) {
                value = strdup(row[0]);
                if (!value) {
                        mysql_free_result(result);
                        return -ENOMEM;
                }
        }
        mysql_free_result(result);
        free(*ret);
        *ret = TAKE_PTR(value);
        return 0;
}

/* Unless it is to look at certificates, the library goes on in the clear where the server has no TLS. */
static int check_tls(const MysqlServer *s, const DatabaseServer *where, Failure *reterr_failure) {
        assert(where);

        if (where->tls == DATABASE_TLS_OFF || mysql_get_ssl_cipher(s->connection))
                return 0;
        return failure_set(reterr_failure, -ECONNREFUSED, "SERVER_UNREACHABLE",
                           "The server at %s has no TLS, which is required: give it a certificate, or "
                           "turn 'tls' off",
                           s->place);
}

static int learn(MysqlServer *s, Failure *reterr_failure) {
        _cleanup_(freep) char *version = NULL, *log = NULL, *status = NULL;
        MysqlFacts *f = &s->facts;
        int r;

        r = ask(s, "SELECT @@version", &version, reterr_failure);
        if (r >= 0)
                r = ask(s, "SELECT @@log_bin", &log, reterr_failure);
        if (r < 0)
                return r;
        if (sscanf(strempty(version), "%u.%u", &f->major, &f->minor) != 2)
                return failure_set(reterr_failure, -EPROTO, "SERVER_UNKNOWN",
                                   "The server at %s does not say its version", s->place);
        f->mariadb = strstr(version, "MariaDB") != NULL;
        (void) snprintf(f->version, sizeof f->version, "%.63s", version);
        /* Where it may not be asked for, the dump does without. */
        f->position = streq(strempty(log), "1") &&
                        (ask(s, "SHOW MASTER STATUS", &status, NULL) >= 0 ||
                         ask(s, "SHOW BINARY LOG STATUS", &status, NULL) >= 0);
        return 0;
}

static int connect_to(const DatabaseServer *where, const char *password, bool brief, MysqlServer **ret,
                      Failure *reterr_failure) {
        _cleanup_(mysql_server_freep) MysqlServer *s = NULL;
        unsigned port;
        int r;

        assert(where);
        assert(ret);

        port = where->port > 0 ? where->port : MYSQL_USUAL_PORT;
        s = new0(MysqlServer, 1);
        if (!s)
                return -ENOMEM;
        r = where->socket ? asprintf_safe(&s->place, "%s", where->socket) :
                            asprintf_safe(&s->place, "%s:%u", where->host, port);
        if (r < 0)
                return r;
        s->connection = mysql_init(NULL);
        if (!s->connection)
                return -ENOMEM;
        set_options(s->connection, where, brief);
        if (!mysql_real_connect(s->connection, where->host, where->user, password, NULL, port, where->socket,
                                0))
                return refuse(s, reterr_failure);
        r = check_tls(s, where, reterr_failure);
        if (r >= 0)
                r = learn(s, reterr_failure);
        if (r < 0)
                return r;
        /* One that does not know the setting is held by our own limit alone. */
        if (brief)
                (void) mysql_query(s->connection, s->facts.mariadb ? BRIEF_MARIADB : BRIEF_MYSQL);
        *ret = TAKE_PTR(s);
        return 0;
}

int mysql_server_open(const DatabaseServer *where, const char *password, MysqlServer **ret,
                      Failure *reterr_failure) {
        return connect_to(where, password, /* brief= */ false, ret, reterr_failure);
}

int mysql_server_open_briefly(const DatabaseServer *where, const char *password, MysqlServer **ret,
                              Failure *reterr_failure) {
        return connect_to(where, password, /* brief= */ true, ret, reterr_failure);
}

/* --- Looking ------------------------------------------------------------------------------------------ */

static const char databases_sql[] =
                "SELECT s.schema_name, s.default_character_set_name, s.default_collation_name,"
                " coalesce(sum(t.data_length + t.index_length), 0),"
                " coalesce(sum(t.table_type IN (" MYSQL_TABLE_TYPES ") AND e.transactions <> 'YES'), 0),"
                " coalesce(sum(t.table_type = 'VIEW'), 0)"
                " FROM information_schema.schemata s"
                " LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name"
                " LEFT JOIN information_schema.engines e ON e.engine = t.engine"
                " WHERE s.schema_name NOT IN (" MYSQL_OWN_DATABASES ")"
                " GROUP BY 1, 2, 3";

static int add_database(void *userdata, char *const *row) {
        MysqlDatabases *d = ASSERT_PTR(userdata);
        MysqlDatabase *database, *grown;
        uint64_t bad = 0, views = 0;

        if (d->n == DATABASES_MAX)
                return -E2BIG;
        grown = reallocarray(d->items, d->n + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        d->items = grown;
        database = grown + d->n++;
        *database = (MysqlDatabase){ .name = strdup(strempty(row[0])),
                                     .charset = strdup(strempty(row[1])),
                                     .collation = strdup(strempty(row[2])) };
        if (!database->name || !database->charset || !database->collation)
                return -ENOMEM;
        /* Of tables that are broken it does not know. */
        if (parse_u64(strempty(row[3]), 0, UINT64_MAX, &database->size) < 0)
                database->size = 0;
        if (parse_u64(strempty(row[4]), 0, UINT32_MAX, &bad) < 0)
                bad = 0;
        database->not_transactional = (unsigned) bad;
        if (parse_u64(strempty(row[5]), 0, UINT32_MAX, &views) < 0)
                views = 0;
        database->views = (unsigned) views;
        return 0;
}

static int compare(const void *a, const void *b) {
        return strcmp(((const MysqlDatabase *) a)->name, ((const MysqlDatabase *) b)->name);
}

int mysql_server_rows(MysqlServer *s, const char *sql, MysqlRow row, void *userdata,
                      Failure *reterr_failure) {
        MYSQL_RES *result;
        MYSQL_ROW values;
        int r = 0;

        assert(s);
        assert(row);

        if (mysql_query(s->connection, sql) != 0)
                return refuse(s, reterr_failure);
        result = mysql_store_result(s->connection);
        if (!result)
                return mysql_errno(s->connection) == 0 ? 0 : refuse(s, reterr_failure);
        while (r >= 0 && (values = mysql_fetch_row(result)))
                r = row(userdata, values);
        mysql_free_result(result);
        return MIN(r, 0);
}

int mysql_server_databases(MysqlServer *s, MysqlDatabases *ret, Failure *reterr_failure) {
        _cleanup_(mysql_databases_done) MysqlDatabases found = MYSQL_DATABASES_NULL;
        int r;

        assert(s);
        assert(ret);

        r = mysql_server_rows(s, databases_sql, add_database, &found, reterr_failure);
        if (r == -E2BIG)
                return failure_set(reterr_failure, r, "SOURCE_INVALID",
                                   "The server at %s has more than %u databases", s->place, DATABASES_MAX);
        if (r < 0)
                return r;
        if (found.n > 0)
                qsort(found.items, found.n, sizeof(MysqlDatabase), compare);
        *ret = found;
        found = MYSQL_DATABASES_NULL;
        return 0;
}

/* --- Rights ------------------------------------------------------------------------------------------- */

#define GRANTEE \
        "grantee = concat('''', substring_index(current_user(), '@', 1), '''@'''," \
        " substring_index(current_user(), '@', -1), '''')"

/* Of the whole server; a role may give it, too, which cannot be seen here. */
static int has_right(MysqlServer *s, const char *right, bool *ret, Failure *reterr_failure) {
        _cleanup_(freep) char *sql = NULL, *found = NULL, *role = NULL;
        int r;

        r = asprintf_safe(&sql,
                          "SELECT 1 FROM information_schema.user_privileges WHERE " GRANTEE
                          " AND privilege_type = '%s' LIMIT 1",
                          right);
        if (r >= 0)
                r = ask(s, sql, &found, reterr_failure);
        if (r >= 0 && !found)
                r = ask(s, "SELECT current_role()", &role, reterr_failure);
        if (r >= 0)
                *ret = found || (role && !streq(role, "NONE"));
        return r;
}

static int missing(const MysqlServer *s, const char *what, const char *grant, Failure *reterr_failure) {
        return failure_set(reterr_failure, -EACCES, "PRIVILEGE_MISSING",
                           "The user may not see %s on the server at %s, which would be missing in the "
                           "backup: GRANT %s ON *.* TO it",
                           what, s->place, grant);
}

int mysql_server_check_rights(MysqlServer *s, bool all_databases, Failure *reterr_failure) {
        _cleanup_(freep) char *nothing = NULL;
        bool databases = true, triggers, routines = true;
        int r = 0;

        assert(s);

        if (all_databases)
                r = has_right(s, "SHOW DATABASES", &databases, reterr_failure);
        if (r >= 0)
                r = has_right(s, "TRIGGER", &triggers, reterr_failure);
        if (r < 0)
                return r;
        /* MariaDB shows the text of routines to those who may read this table. */
        if (s->facts.mariadb)
                routines = ask(s, "SELECT 1 FROM mysql.proc LIMIT 1", &nothing, NULL) >= 0;
        else
                r = has_right(s, "SELECT", &routines, reterr_failure);
        if (r < 0)
                return r;
        if (!databases)
                return missing(s, "all databases", "SHOW DATABASES", reterr_failure);
        if (!triggers)
                return missing(s, "triggers", "TRIGGER", reterr_failure);
        if (!routines)
                return missing(s, "stored procedures and functions", "SELECT", reterr_failure);
        return 0;
}

/* --- Restoring ---------------------------------------------------------------------------------------- */

/* In backticks, each of its own doubled. */
static int quote_name(const char *name, char **ret) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        r = buffer_add_string(&b, "`");
        for (const char *p = name; r >= 0 && *p; p++) {
                if (*p == '`')
                        r = buffer_add(&b, "`", 1);
                if (r >= 0)
                        r = buffer_add(&b, p, 1);
        }
        if (r >= 0)
                r = buffer_add_string(&b, "`");
        if (r < 0)
                return r;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

static int run(MysqlServer *s, const char *verb, const char *name, Failure *reterr_failure) {
        _cleanup_(freep) char *sql = NULL;
        int r;

        r = asprintf_safe(&sql, "%s %s", verb, name);
        if (r < 0)
                return r;
        return mysql_query(s->connection, sql) != 0 ? refuse(s, reterr_failure) : 0;
}

int mysql_server_prepare(MysqlServer *s, const char *name, bool drop, Failure *reterr_failure) {
        _cleanup_(freep) char *quoted = NULL, *tables = NULL, *sql = NULL;
        int r;

        assert(s);
        assert(name);

        r = quote_name(name, &quoted);
        if (r < 0)
                return r;
        if (drop)
                r = run(s, "DROP DATABASE IF EXISTS", quoted, reterr_failure);
        if (r >= 0)
                r = run(s, "CREATE DATABASE IF NOT EXISTS", quoted, reterr_failure);
        if (r >= 0)
                r = asprintf_safe(&sql, "SHOW TABLES FROM %s", quoted);
        if (r >= 0)
                r = ask(s, sql, &tables, reterr_failure);
        if (r < 0)
                return r;
        if (tables)
                return failure_set(reterr_failure, -EEXIST, "DATABASE_EXISTS",
                                   "There is a database '%s' with tables on the server at %s: restore "
                                   "under another name, or have it dropped first",
                                   name, s->place);
        return 0;
}
