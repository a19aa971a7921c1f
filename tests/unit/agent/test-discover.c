/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/job/discover.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/test.h"

static void test_lines(void) {
        static const struct {
                const char *line;
                uint16_t port;
        } tcp[] = {
                { "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid", 0 },
                { "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000  109", 5432 },
                { "   1: 0100007F:1538 0100007F:9999 01 00000000:00000000 00:00000000 00000000  109", 0 },
                { "   0: 00000000000000000000000000000000:0CEA 00000000000000000000:0 0A", 3306 },
                { "", 0 },
                { "   0: 0100007F:15380 00000000:0000 0A", 0 },
        };
        static const struct {
                const char *line, *path;
        } sockets[] = {
                { "Num       RefCount Protocol Flags    Type St Inode Path", NULL },
                { "0000000000000000: 00000002 00000000 00010000 0001 01 17 /run/x y", "/run/x y" },
                { "0000000000000000: 00000003 00000000 00000000 0001 03 18 /run/connected", NULL },
                { "0000000000000000: 00000002 00000000 00010000 0005 01 19 /run/seqpacket", NULL },
                { "0000000000000000: 00000002 00000000 00010000 0001 01 20 @abstract", NULL },
                { "0000000000000000: 00000002 00000000 00010000 0001 01 21", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(tcp); i++)
                CHECK_INT(discover_tcp_line(tcp[i].line), tcp[i].port);
        for (size_t i = 0; i < ELEMENTSOF(sockets); i++)
                CHECK(streq_ptr(discover_unix_line(sockets[i].line), sockets[i].path));
}

static void test_setting(void) {
        static const struct {
                const char *text, *value;
        } table[] = {
                { "port = 5433\t# change requires restart\n", "5433" },
                { "#port = 1\n  port=5434", "5434" },
                { "port 5435\n", "5435" },
                { "port = 1\nport = '2'\n", "2" },
                { "portable = 1\nreport = 2\n", NULL },
                { "port", NULL },
                { "", NULL },
                { "port = 'open", "open" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(freep) char *value = NULL;

                CHECK_OK(discover_setting(table[i].text, "port", &value));
                CHECK(streq_ptr(value, table[i].value));
        }
}

static void put(const char *root, const char *folder, const char *name, const char *text) {
        _cleanup_(freep) char *path = NULL, *file = NULL;
        FILE *f;

        CHECK_OK(asprintf_safe(&path, "%s%s", root, folder));
        CHECK_OK(mkdir_p(path, 0755));
        CHECK_OK(asprintf_safe(&file, "%s/%s", path, name));
        f = fopen(file, "we");
        CHECK(f);
        CHECK(fputs(text, f) >= 0);
        CHECK_INT(fclose(f), 0);
}

static json_t *discover(const char *root, const Policy *policy) {
        bool incomplete = true;
        json_t *list = NULL;

        CHECK_OK(discover_servers(root, policy, &list, &incomplete));
        CHECK(!incomplete);
        return list;
}

static const json_t *server(const json_t *list, const char *type, json_int_t port) {
        const json_t *item;
        size_t i;

        json_array_foreach((json_t *) list, i, item) {
                if (streq_ptr(json_string_value(json_object_get(item, "type")), type) &&
                    json_integer_value(json_object_get(item, "port")) == port)
                        return item;
        }
        TEST_FAIL("no %s at %d", type, (int) port);
        return NULL;
}

static const char *text_of(const json_t *item, const char *name) {
        return strempty(json_string_value(json_object_get(item, name)));
}

static void test_host(void) {
        char root[] = "/tmp/backupx-test-discover-XXXXXX";
        char *denied[] = { (char *) "/var/lib/mysql", (char *) "/etc/postgresql/13", NULL };
        const Policy open = POLICY_NULL, closed = { .listing_deny = denied };
        _cleanup_json_ json_t *none = NULL, *all = NULL, *less = NULL;
        _cleanup_(freep) char *command = NULL;
        const json_t *s;

        CHECK(mkdtemp(root));
        none = discover(root, &open);
        CHECK_INT(json_array_size(none), 0);
        put(root, "/proc/self/net", "unix",
            "Num       RefCount Protocol Flags    Type St Inode Path\n"
            "0000000000000000: 00000002 00000000 00010000 0001 01 1 /run/postgresql/.s.PGSQL.5433\n"
            "0000000000000000: 00000002 00000000 00010000 0001 01 2 /run/mysqld/mysqld.sock\n");
        put(root, "/proc/self/net", "tcp", "   0: 0100007F:0CEA 00000000:0000 0A 0\n");
        put(root, "/proc/self/net", "tcp6", "");
        put(root, "/etc/postgresql/15/main", "postgresql.conf",
            "data_directory = '/srv/pg'\nport = 5433\n");
        put(root, "/etc/postgresql/13/old", "postgresql.conf", "data_directory = '/srv/old'\n");
        put(root, "/var/lib/mysql", "ibdata1", "");
        put(root, "/var/lib/mysql", "mariadb_upgrade_info", "10.11.6-MariaDB\n");

        all = discover(root, &open);
        CHECK_INT(json_array_size(all), 3);
        s = server(all, "postgresql", 5433);
        CHECK_STR(text_of(s, "version"), "15");
        CHECK_STR(text_of(s, "name"), "main");
        CHECK_STR(text_of(s, "socket"), "/run/postgresql/.s.PGSQL.5433");
        CHECK_STR(text_of(s, "data_directory"), "/srv/pg");
        CHECK(json_is_true(json_object_get(s, "running")));
        s = server(all, "postgresql", 5432);
        CHECK_STR(text_of(s, "version"), "13");
        CHECK(json_is_false(json_object_get(s, "running")));
        s = server(all, "mariadb", 3306);
        CHECK_STR(text_of(s, "version"), "10.11.6-MariaDB");
        CHECK_STR(text_of(s, "socket"), "/run/mysqld/mysqld.sock");

        /* What may not be looked into is not told. */
        less = discover(root, &closed);
        CHECK_INT(json_array_size(less), 2);
        s = server(less, "mysql", 3306);
        CHECK_STR(text_of(s, "version"), "");
        CHECK_STR(text_of(s, "data_directory"), "");
        CHECK_OK(asprintf_safe(&command, "rm -r %s", root));
        CHECK_INT(system(command), 0);
}

int main(void) {
        RUN(test_lines);
        RUN(test_setting);
        RUN(test_host);
        return EXIT_SUCCESS;
}
