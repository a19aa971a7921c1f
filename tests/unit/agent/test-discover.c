/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/job/discover-sqlite.h"
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

static void test_hana_names(void) {
        static const struct {
                const char *name;
                int number;
        } names[] = {
                { "HDB00", 0 },
                { "HDB97", 97 },
                { "HDB", -EINVAL },
                { "HDB1", -EINVAL },
                { "HDB001", -EINVAL },
                { "hdb00", -EINVAL },
                { "HDBxx", -EINVAL },
                { "SYS", -EINVAL },
        };
        _cleanup_(freep) char *version = NULL, *none = NULL;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                CHECK_INT(discover_hana_instance(names[i].name), names[i].number);
        CHECK_OK(discover_manifest_version("makeid: 1\nfullversion: 2.00.059.00 Build 1 \n", &version));
        CHECK_STR(version, "2.00.059.00");
        CHECK_OK(discover_manifest_version("release: 2\nxfullversion: 1\n", &none));
        CHECK(!none);
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
        char *denied[] = { (char *) "/var/lib/mysql", (char *) "/etc/postgresql/13",
                           (char *) "/usr/sap/PRD", NULL };
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
        put(root, "/proc/self/net", "tcp", "   0: 0100007F:0CEA 00000000:0000 0A 0\n"
                                           "   1: 00000000:75A3 00000000:0000 0A 0\n");
        put(root, "/proc/self/net", "tcp6", "");
        put(root, "/etc/postgresql/15/main", "postgresql.conf",
            "data_directory = '/srv/pg'\nport = 5433\n");
        put(root, "/etc/postgresql/13/old", "postgresql.conf", "data_directory = '/srv/old'\n");
        put(root, "/var/lib/mysql", "ibdata1", "");
        put(root, "/var/lib/mysql", "mariadb_upgrade_info", "10.11.6-MariaDB\n");

        put(root, "/usr/sap/HXE/HDB90", "hdbenv.sh", "");
        put(root, "/usr/sap/HXE/SYS/exe/hdb", "manifest", "fullversion: 2.00.045.00 Build 1\n");
        put(root, "/usr/sap/HXE/SYS/global/hdb/custom/config", "global.ini",
            "[persistence]\nbasepath_datavolumes = /hana/data/HXE\n");
        put(root, "/usr/sap/PRD/HDB01", "hdbenv.sh", "");
        put(root, "/usr/sap/hostctrl/exe", "saphostctrl", "");

        all = discover(root, &open);
        CHECK_INT(json_array_size(all), 5);
        s = server(all, "saphana", 39013);
        CHECK_STR(text_of(s, "name"), "HXE");
        CHECK_STR(text_of(s, "version"), "2.00.045.00");
        CHECK_STR(text_of(s, "data_directory"), "/hana/data/HXE");
        CHECK(json_is_false(json_object_get(s, "running")));
        s = server(all, "saphana", 30115); /* 3nn13 does not listen, this one does */
        CHECK_STR(text_of(s, "name"), "PRD");
        CHECK(json_is_null(json_object_get(s, "version")));
        CHECK(json_is_true(json_object_get(s, "running")));
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
        CHECK_INT(json_array_size(less), 3);
        s = server(less, "mysql", 3306);
        CHECK_STR(text_of(s, "version"), "");
        CHECK_STR(text_of(s, "data_directory"), "");
        CHECK_OK(asprintf_safe(&command, "rm -r %s", root));
        CHECK_INT(system(command), 0);
}

/* --- SQLite ----------------------------------------------------------------------------------------- */

/* The head of a database that version 3.40.1 wrote. */
static void put_sqlite(const char *root, const char *folder, const char *name, bool wal) {
        _cleanup_(freep) char *path = NULL;
        uint8_t head[512] = "SQLite format 3";
        FILE *f;

        head[18] = head[19] = wal ? 2 : 1;
        head[96] = 0;
        head[97] = 0x2e;
        head[98] = 0x63;
        head[99] = 0x01; /* 3040001 */
        put(root, folder, name, "");
        CHECK_OK(asprintf_safe(&path, "%s%s/%s", root, folder, name));
        f = fopen(path, "we");
        CHECK(f);
        CHECK_INT(fwrite(head, 1, sizeof(head), f), sizeof(head));
        CHECK_INT(fclose(f), 0);
}

static void test_head(void) {
        uint8_t data[SQLITE_HEAD_SIZE] = "SQLite format 3";
        SqliteHead head;

        CHECK(discover_sqlite_head(data, sizeof(data), &head));
        CHECK_INT(head.major, 0);
        CHECK(!head.wal);
        CHECK(!discover_sqlite_head(data, sizeof(data) - 1, &head));
        CHECK(!discover_sqlite_head(NULL, 0, &head));
        data[15] = 'x';
        CHECK(!discover_sqlite_head(data, sizeof(data), &head));
}

static json_t *search(const char *root, const Policy *policy, bool *ret_incomplete, const char *one,
                      const char *two) {
        char *globs[] = { (char *) one, (char *) two, NULL };
        atomic_bool cancelled = false;
        json_t *list = NULL;

        CHECK_OK(discover_sqlite(root, policy, globs, &cancelled, &list, ret_incomplete));
        return list;
}

static const char *path_of(const json_t *list, size_t i) {
        return text_of(json_array_get(list, i), "path");
}

static void test_sqlite(void) {
        char root[] = "/tmp/backupx-test-discover-XXXXXX", *none[] = { NULL };
        char *denied[] = { (char *) "/srv/secret", NULL };
        const Policy open = POLICY_NULL, closed = { .listing_deny = denied };
        _cleanup_json_ json_t *all = NULL, *less = NULL, *literal = NULL, *ended = NULL;
        _cleanup_(freep) char *command = NULL, *link = NULL, *pipe = NULL, *folder = NULL;
        atomic_bool cancelled = true;
        bool incomplete = true;

        CHECK(mkdtemp(root));
        put_sqlite(root, "/srv/app", "a.db", true);
        put_sqlite(root, "/srv/secret", "b.db", false);
        put_sqlite(root, "/srv/.hidden", "c.db", false);
        put(root, "/srv/app", "text.db", "SQLite format 3 is what it talks of, at some length: it is no "
                                         "database, and it is longer than a hundred bytes.\n");
        put(root, "/srv/app", "empty.db", "");
        CHECK_OK(asprintf_safe(&link, "%s/srv/linked", root));
        CHECK_INT(symlink("secret", link), 0);
        CHECK_OK(asprintf_safe(&pipe, "%s/srv/app/pipe.db", root));
        CHECK_INT(mkfifo(pipe, 0600), 0);
        CHECK_OK(asprintf_safe(&folder, "%s/srv/app/folder.db", root));
        CHECK_INT(mkdir(folder, 0700), 0);

        /* Each once, whatever globs there are; what is no database, or lies behind a link, is none. */
        all = search(root, &open, &incomplete, "/srv/*/*.db", "/srv/app/?.db");
        CHECK(!incomplete);
        CHECK_INT(json_array_size(all), 2);
        CHECK(streq(path_of(all, 0), "/srv/app/a.db") || streq(path_of(all, 1), "/srv/app/a.db"));

        less = search(root, &closed, &incomplete, "/srv/*/*.db", "/srv/linked/b.db");
        CHECK(!incomplete);
        CHECK_INT(json_array_size(less), 1);
        CHECK_STR(path_of(less, 0), "/srv/app/a.db");
        CHECK_STR(text_of(json_array_get(less, 0), "version"), "3.40.1");
        CHECK(json_is_true(json_object_get(json_array_get(less, 0), "wal")));
        CHECK_INT(json_integer_value(json_object_get(json_array_get(less, 0), "size_bytes")), 512);

        literal = search(root, &open, &incomplete, "/srv/.hidden/c.db", "/nowhere/x.db");
        CHECK_INT(json_array_size(literal), 1);
        CHECK_OK(discover_sqlite(root, &open, none, &cancelled, &ended, &incomplete));
        CHECK_INT(json_array_size(ended), 0);
        none[0] = (char *) "/srv/*/*.db";
        CHECK_INT(discover_sqlite(root, &open, none, &cancelled, &ended, &incomplete), -ECANCELED);
        CHECK_OK(asprintf_safe(&command, "rm -r %s", root));
        CHECK_INT(system(command), 0);
}

/* There is an end to it, and it is told. */
static void test_sqlite_many(void) {
        char root[] = "/tmp/backupx-test-discover-XXXXXX";
        const Policy open = POLICY_NULL;
        _cleanup_json_ json_t *list = NULL;
        _cleanup_(freep) char *command = NULL;
        bool incomplete = false;

        CHECK(mkdtemp(root));
        for (unsigned i = 0; i <= DISCOVER_FILES_MAX; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "%u.db", i);
                put_sqlite(root, "/srv/app", name, false);
        }
        list = search(root, &open, &incomplete, "/srv/app/*", NULL);
        CHECK(incomplete);
        CHECK_INT(json_array_size(list), DISCOVER_FILES_MAX);
        CHECK_OK(asprintf_safe(&command, "rm -r %s", root));
        CHECK_INT(system(command), 0);
}

int main(void) {
        RUN(test_lines);
        RUN(test_setting);
        RUN(test_hana_names);
        RUN(test_host);
        RUN(test_head);
        RUN(test_sqlite);
        RUN(test_sqlite_many);
        return EXIT_SUCCESS;
}
