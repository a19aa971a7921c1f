/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/dump-name.h"
#include "database/pg-server.h"
#include "database/pg-tool.h"
#include "database/pump.h"
#include "tests/test.h"

static void test_names(void) {
        _cleanup_(freep) char *path = dump_path_of("postgresql", "a/b%", ".dump");
        _cleanup_(freep) char *name = dump_database_of("postgresql", path, ".dump");

        CHECK_STR(path, "postgresql/a%2Fb%25.dump");
        CHECK_STR(name, "a/b%");
        CHECK(!dump_database_of("postgresql", "postgresqlx/a.dump", ".dump"));
        CHECK(!dump_database_of("postgresql", "postgresql/globals.sql", ".dump"));
}

static void test_versions(void) {
        CHECK_INT(pg_tool_parse_version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), 15);
        CHECK_INT(pg_tool_parse_version("pg_dump (PostgreSQL) 18beta1\n"), 18);
        CHECK_INT(pg_tool_parse_version("pg_dump (PostgreSQL) 9.6.24\n"), 9);
        CHECK_INT(pg_tool_parse_version("pg_dump 15.18"), 0);
        CHECK_INT(pg_tool_parse_version(""), 0);
}

static void check_info(const DatabaseServer *where, const char *database, const char *passfile,
                       const char *expected) {
        _cleanup_(freep) char *info = NULL;

        CHECK_OK(pg_conninfo(where, database, passfile, &info));
        CHECK_STR(info, expected);
}

static void test_conninfo(void) {
        const DatabaseServer folder = { .socket = (char *) "/run/postgresql", .user = (char *) "b" };
        const DatabaseServer socket = { .socket = (char *) "/run/.s.PGSQL.5433", .user = (char *) "b" };
        const DatabaseServer host = { .host = (char *) "db",
                                      .port = 5444,
                                      .user = (char *) "it's \\",
                                      .tls = DATABASE_TLS_VERIFY,
                                      .tls_ca = (char *) "/ca" };

        check_info(&folder, "shop", NULL,
                   "host='/run/postgresql' user='b' dbname='shop' connect_timeout=10"
                   " application_name=backupx");
        check_info(&socket, "shop", "/p",
                   "host='/run' port='5433' user='b' dbname='shop' passfile='/p' connect_timeout=10"
                   " application_name=backupx");
        check_info(&host, "a'b", NULL,
                   "host='db' port=5444 user='it\\'s \\\\' dbname='a\\'b' sslmode='verify-full'"
                   " sslrootcert='/ca' connect_timeout=10 application_name=backupx");
}

static void test_passfile(void) {
        _cleanup_(freep) char *text = NULL;

        CHECK_OK(pg_passfile("a:b\\c'd", &text));
        CHECK_STR(text, "*:*:*:*:a\\:b\\\\c'd\n");
}

static void check_head(const char *head, const char *expected) {
        _cleanup_(freep) char *options = NULL;

        CHECK_OK(pg_head_create_options(head, strlen(head), &options));
        CHECK_STR(options, expected);
}

static void test_head(void) {
        check_head("PGDMP xx CREATE DATABASE \"a b\" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = "
                   "'C.UTF-8';\nmore",
                   "ENCODING = 'UTF8' LOCALE = 'C.UTF-8'");
        check_head("CREATE DATABASE x WITH TEMPLATE = template0 ENCODING = 'UTF8'", "");
        check_head("CREATE DATABASE x WITH TEMPLATE = template0 OWNER = \"a\";", "");
        check_head("CREATE DATABASE x WITH TEMPLATE = template0 ENCODING = 'x'\\;", "");
        check_head("CREATE DATABASE ", "");
        check_head("", "");
}

/* --- The pump ----------------------------------------------------------------------------------------- */

typedef struct Began {
        const char *script; /* NULL: it fails */
        char head[16];
        size_t n;
} Began;

static int begin(void *userdata, const char *head, size_t n, Child **ret, Failure *reterr_failure) {
        Began *b = userdata;
        char *const arguments[] = { (char *) "sh", (char *) "-c", (char *) b->script, NULL };
        const ChildArgs args = { .path = "/bin/sh", .arguments = arguments, .takes_input = true };

        b->n = MIN(n, sizeof b->head);
        memcpy(b->head, head, b->n);
        if (!b->script)
                return failure_set(reterr_failure, -EEXIST, "DATABASE_EXISTS", "It is there");
        return child_new(&args, ret, reterr_failure);
}

static int pump(Began *b, const char *text, bool may_stop, Failure *failure) {
        const PumpArgs args = { .begin = begin, .userdata = b, .head_max = 4, .may_stop = may_stop };
        _cleanup_(pump_freep) Pump *p = NULL;

        CHECK_OK(pump_new(&args, &p, NULL));
        for (const char *at = text; *at; at++)
                if (write(pump_fd(p), at, 1) < 0)
                        break;
        return pump_end(p, failure);
}

static void test_pump(void) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Began b = { .script = "[ \"$(cat)\" = 'the whole dump' ]" };

        CHECK_INT(pump(&b, "the whole dump", false, NULL), 0);
        CHECK_INT(b.n, 4);
        CHECK(memcmp(b.head, "the ", 4) == 0);
        CHECK_INT(pump(&b, "another", false, NULL), 1);
        CHECK_INT(pump(&b, "ab", false, NULL), 1);
        CHECK_INT(b.n, 2);
        /* Nothing came: nothing has begun. */
        b = (Began){ .script = "exit 3" };
        CHECK_INT(pump(&b, "", false, &failure), -ENODATA);
        CHECK_INT(b.n, 0);
        CHECK(!failure_is_set(&failure));
        b = (Began){};
        CHECK_INT(pump(&b, "dump", false, &failure), -EEXIST);
        CHECK_STR(failure.code, "DATABASE_EXISTS");
}

int main(void) {
        (void) signal(SIGPIPE, SIG_IGN);
        RUN(test_names);
        RUN(test_versions);
        RUN(test_conninfo);
        RUN(test_passfile);
        RUN(test_head);
        RUN(test_pump);
        return 0;
}
