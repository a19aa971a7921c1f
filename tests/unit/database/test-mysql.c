/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/child.h"
#include "database/mysql-source.h"
#include "tests/test.h"

static void test_paths(void) {
        static const char *const table[][2] = {
                { "shop", "mysql/shop.sql" },
                { "a/b%", "mysql/a%2Fb%25.sql" },
                { ".hidden", "mysql/%2Ehidden.sql" },
                { "tab\t", "mysql/tab%09.sql" },
                { "ü.x", "mysql/ü.x.sql" },
        };
        static const char *const none[] = { "mysql/x", "postgresql/x.sql", "mysql/x/y.sql", "mysql", "" };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(freep) char *path = mysql_path_of(table[i][0]);
                _cleanup_(freep) char *name = mysql_database_of(table[i][1]);

                CHECK_STR(path, table[i][1]);
                CHECK_STR(name, table[i][0]);
        }
        for (size_t i = 0; i < ELEMENTSOF(none); i++)
                CHECK(!mysql_database_of(none[i]));
}

static void test_versions(void) {
        static const struct {
                const char *text;
                bool mariadb;
                unsigned major, minor;
        } table[] = {
                { "mariadb-dump  Ver 10.19 Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)", true,
                  10, 11 },
                { "mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)", true, 11, 4 },
                { "mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)", false, 8, 0 },
                { "mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)", false, 5, 7 },
        };
        MysqlTool t = MYSQL_TOOL_NULL;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                CHECK_OK(mysql_tool_parse_version(table[i].text, &t));
                CHECK_INT(t.mariadb, table[i].mariadb);
                CHECK_INT(t.major, table[i].major);
                CHECK_INT(t.minor, table[i].minor);
        }
        CHECK_INT(mysql_tool_parse_version("", &t), -EPROTO);
        CHECK_INT(mysql_tool_parse_version("no Ver here", &t), -EPROTO);
}

static void test_options(void) {
        const DatabaseServer socket = { .socket = (char *) "/run/my\"sqld.sock", .user = (char *) "backup" };
        const DatabaseServer host = {
                .host = (char *) "db", .port = 3307, .user = (char *) "b", .tls = DATABASE_TLS_VERIFY
        };
        const MysqlTool maria = { .mariadb = true }, oracle = {};
        _cleanup_(freep) char *one = NULL, *two = NULL, *three = NULL;

        CHECK_OK(mysql_tool_options(&maria, &socket, "a\"b\\#c", &one));
        CHECK_STR(one, "[client]\nuser=\"backup\"\npassword=\"a\\\"b\\\\#c\"\n"
                       "socket=\"/run/my\\\"sqld.sock\"\nprotocol=socket\n"
                       "loose-local-infile=0\nskip-ssl-verify-server-cert\n");
        CHECK_OK(mysql_tool_options(&maria, &host, NULL, &two));
        CHECK_STR(two, "[client]\nuser=\"b\"\nhost=\"db\"\nport=3307\nprotocol=tcp\n"
                       "loose-local-infile=0\nssl\nssl-verify-server-cert\n");
        CHECK_OK(mysql_tool_options(&oracle, &host, NULL, &three));
        CHECK_STR(three, "[client]\nuser=\"b\"\nhost=\"db\"\nport=3307\nprotocol=tcp\n"
                         "loose-local-infile=0\nssl-mode=VERIFY_IDENTITY\n");
}

static void test_choice(void) {
        char *const names[] = { (char *) "shop", (char *) "crm_*", NULL };
        char *const without[] = { (char *) "*_test", NULL };
        const DatabaseSource all = {}, some = { .databases = (char **) names, .exclude = (char **) without };

        CHECK(database_source_has(&all, "x"));
        CHECK(database_source_has(&some, "shop"));
        CHECK(database_source_has(&some, "crm_eu"));
        CHECK(!database_source_has(&some, "crm_test"));
        CHECK(!database_source_has(&some, "other"));
}

static int run_shell(const char *script, const char *secret, const atomic_bool *cancel, char *out, size_t n,
                     Child **ret) {
        char *const arguments[] = { (char *) "sh", (char *) "-c", (char *) script, NULL };
        const ChildArgs args = {
                .path = "/bin/sh", .arguments = arguments, .secret = secret, .cancel = cancel
        };
        size_t have = 0;
        ssize_t k;

        CHECK_OK(child_new(&args, ret, NULL));
        while ((k = child_read(*ret, out + have, n - 1 - have)) > 0)
                have += (size_t) k;
        out[have] = 0;
        return k < 0 ? (int) k : child_wait(*ret);
}

static void check_shell(const char *script, const char *secret, int status, const char *expected,
                        const char *complaint) {
        _cleanup_(child_freep) Child *child = NULL;
        char out[256];

        CHECK_INT(run_shell(script, secret, NULL, out, sizeof out, &child), status);
        CHECK_STR(out, expected);
        CHECK_STR(child_complaint(child, "silence"), complaint);
}

static void test_child(void) {
        check_shell("echo out; echo first >&2; echo last >&2; echo >&2; exit 3", NULL, 3, "out\n", "last");
        check_shell("kill -9 $$", NULL, 137, "", "silence");
        check_shell("cat " CHILD_PRIVATE_PATH, "secret", 0, "secret", "silence");
        check_shell("cat " CHILD_PRIVATE_PATH " 2>/dev/null; ls /proc/self/fd | wc -l", NULL, 0, "4\n",
                    "silence");
        /* What does not fit is not kept, and nobody waits for it to be read. */
        check_shell("for i in $(seq 20000); do echo line; done >&2; echo out", NULL, 0, "out\n", "l");
}

static void test_child_given(void) {
        char *const arguments[] = { (char *) "sh", (char *) "-c",
                                    (char *) "cat; echo $HOME; echo bad >&2;"
                                             " ls /proc/self/fd | wc -l; exit 3",
                                    NULL };
        const ChildArgs args = {
                .path = "/bin/sh", .arguments = arguments, .input = "in\n", .home = "/h", .one_output = true
        };
        char out[256];

        /* The fourth descriptor is that of ls itself. */
        CHECK_INT(child_capture(&args, out, sizeof(out), NULL), 3);
        CHECK_STR(out, "in\n/h\nbad\n4\n");
}

static void test_child_cancelled(void) {
        _cleanup_(child_freep) Child *child = NULL;
        atomic_bool cancel = true;
        char out[256];

        CHECK_INT(run_shell("sleep 1000", NULL, &cancel, out, sizeof out, &child), -ECANCELED);
        CHECK_INT(child_wait(child), -ECANCELED);
}

int main(void) {
        RUN(test_paths);
        RUN(test_versions);
        RUN(test_options);
        RUN(test_choice);
        RUN(test_child);
        RUN(test_child_given);
        RUN(test_child_cancelled);
        return 0;
}
