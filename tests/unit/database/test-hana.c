/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/hana-pieces.h"
#include "database/hana-place.h"
#include "database/hana-recovery.h"
#include "database/hana-sql.h"
#include "tests/test.h"

/* --- Settings ----------------------------------------------------------------------------------------- */

static int read_settings(const char *text, HanaSettings **ret, Failure *failure) {
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        CHECK_OK(json_parse_text(text, &json, NULL));
        (void) json_reader_init(&reader, json, failure);
        r = hana_settings_read(&reader, ret);
        return r < 0 ? r : json_reader_finish(&reader);
}

#define PLACE "\"server\":{\"host\":\"db1\",\"instance\":0,\"user\":\"B\"}"

static void test_settings(void) {
        static const char *const texts[] = {
                "{\"server\":{\"key\":\"BACKUP\",\"home\":\"/var/h\"},\"backup\":\"data\","
                "\"level\":\"incremental\",\"via\":\"file\",\"directory\":\"/hana/b\",\"retries\":3}",
                "{\"server\":{\"host\":\"db1\",\"instance\":0,\"user\":\"B\",\"database\":\"HXE\","
                "\"tls\":\"verify\",\"tls_ca\":\"/ca\"},\"backup\":\"data\",\"level\":\"full\","
                "\"via\":\"backint\",\"channels\":32,\"retries\":0}",
                "{\"server\":{\"host\":\"db1\",\"port\":30013,\"user\":\"B\"},\"backup\":\"log\","
                "\"via\":\"file\",\"retries\":10}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(hana_settings_freep) HanaSettings *s = NULL;
                _cleanup_json_ json_t *built = json_object(), *expected = NULL;

                CHECK_OK(read_settings(texts[i], &s, NULL));
                CHECK_OK(hana_settings_build(s, built));
                CHECK_OK(json_parse_strict(texts[i], strlen(texts[i]), JSON_DEPTH_DEFAULT, &expected, NULL));
                CHECK(json_equal(built, expected));
        }
}

static void test_settings_refused(void) {
        static const struct {
                const char *text, *field;
        } table[] = {
                { "{\"directory\":\"/b\"}", "server" },
                { "{\"server\":{},\"directory\":\"/b\"}", "server.key" },
                { "{\"server\":{\"key\":\"K\"},\"directory\":\"/b\"}", "server.home" },
                { "{\"server\":{\"key\":\"K\",\"home\":\"/h\",\"user\":\"B\"},\"directory\":\"/b\"}",
                  "server.key" },
                { "{\"server\":{\"key\":\"-K\",\"home\":\"/h\"},\"directory\":\"/b\"}", "server.key" },
                { "{\"server\":{\"host\":\"db\",\"instance\":0},\"directory\":\"/b\"}", "server.user" },
                { "{\"server\":{\"host\":\"db\",\"user\":\"B\"},\"directory\":\"/b\"}", "server.instance" },
                { "{\"server\":{\"host\":\"db\",\"user\":\"B\",\"instance\":0,\"port\":3},"
                  "\"directory\":\"/b\"}",
                  "server.instance" },
                { "{\"server\":{\"host\":\"db\",\"user\":\"B\",\"instance\":100},\"directory\":\"/b\"}",
                  "server.instance" },
                { "{\"server\":{\"host\":\"d b\",\"user\":\"B\",\"instance\":0},\"directory\":\"/b\"}",
                  "server.host" },
                { "{" PLACE "}", "directory" },
                { "{" PLACE ",\"directory\":\"b\"}", "directory" },
                { "{" PLACE ",\"directory\":\"/\"}", "directory" },
                { "{" PLACE ",\"directory\":\"/b\\n\"}", "directory" },
                { "{" PLACE ",\"directory\":\"/b\",\"level\":\"some\"}", "level" },
                { "{" PLACE ",\"directory\":\"/b\",\"channels\":2}", "channels" },
                { "{" PLACE ",\"via\":\"backint\",\"channels\":0}", "channels" },
                { "{" PLACE ",\"via\":\"backint\",\"channels\":33}", "channels" },
                { "{" PLACE ",\"via\":\"backint\",\"directory\":\"/b\"}", "directory" },
                { "{" PLACE ",\"via\":\"backint\",\"retries\":11}", "retries" },
                { "{" PLACE ",\"backup\":\"log\",\"level\":\"incremental\"}", "level" },
                { "{" PLACE ",\"backup\":\"log\",\"via\":\"backint\"}", "via" },
                { "{" PLACE ",\"backup\":\"log\",\"directory\":\"/b\"}", "directory" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(hana_settings_freep) HanaSettings *s = NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK_INT(read_settings(table[i].text, &s, &failure), -EBADMSG);
                CHECK_STR(failure.field, table[i].field);
                CHECK(!s);
        }
}

static void test_words(void) {
        CHECK(hana_is_word("Ab3$%&/()=?#+*~.:,<>|@!_-[]{}^ö"));
        CHECK(!hana_is_word(""));
        CHECK(!hana_is_word("-x"));
        CHECK(!hana_is_word("a b"));
        CHECK(!hana_is_word("a\"b"));
        CHECK(!hana_is_word("a'b"));
        CHECK(!hana_is_word("a;b"));
        CHECK(!hana_is_word("a\\b"));
        CHECK(!hana_is_word("a\nb"));
        CHECK(hana_is_database("SYSTEMDB"));
        CHECK(hana_is_database("a-1_B"));
        CHECK(!hana_is_database(""));
        CHECK(!hana_is_database("_A"));
        CHECK(!hana_is_database("A.B"));
        CHECK(!hana_is_database("A'B"));
        CHECK(!hana_is_database("Ä"));
}

/* --- Statements --------------------------------------------------------------------------------------- */

static void check_connect(const HanaServer *s, const char *password, const char *expected) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_buffer_ Buffer b = BUFFER_NULL;

        if (expected) {
                CHECK_OK(hana_sql_connect(&b, s, password, NULL));
                CHECK_STR(b.data, expected);
                return;
        }
        CHECK_INT(hana_sql_connect(&b, s, password, &failure), -EINVAL);
        CHECK(!strstr(failure.message, "secret"));
}

static void test_connect(void) {
        const HanaServer instance = {
                .host = (char *) "db1", .has_instance = true, .instance = 7, .user = (char *) "BACKUPX"
        };
        const HanaServer port = { .host = (char *) "db1", .port = 30015, .user = (char *) "B" };
        const HanaServer tenant = {
                .host = (char *) "db1", .port = 30013, .user = (char *) "B", .database = (char *) "HXE"
        };

        check_connect(&instance, "Secret#1", "\\c -n db1 -i 07 -d SYSTEMDB -u BACKUPX -p Secret#1\n");
        check_connect(&port, "Secret#1", "\\c -n db1:30015 -u B -p Secret#1\n");
        check_connect(&tenant, "Secret#1", "\\c -n db1:30013 -d HXE -u B -p Secret#1\n");
        check_connect(&port, NULL, NULL);
        check_connect(&port, "", NULL);
        check_connect(&port, "secret ", NULL);
        check_connect(&port, "\"secret\"", NULL);
        check_connect(&port, "secret\n\\! sh", NULL);
}

static void check_backup(const char *connected, const char *database, HanaLevel level, HanaVia via,
                         const char *target, const char *expected) {
        const HanaCatalog of = { .connected = connected, .database = database };
        const HanaSettings how = { .level = level, .via = via };
        _cleanup_buffer_ Buffer b = BUFFER_NULL;

        CHECK_OK(hana_sql_backup(&b, &of, &how, target));
        CHECK_STR(b.data, expected);
}

static void test_backup(void) {
        check_backup("SYSTEMDB", "SYSTEMDB", HANA_FULL, HANA_VIA_FILE, "/b/x",
                     "BACKUP DATA USING FILE ('/b/x')\n");
        check_backup("SYSTEMDB", "HXE", HANA_FULL, HANA_VIA_FILE, "/it's/x",
                     "BACKUP DATA FOR HXE USING FILE ('/it''s/x')\n");
        check_backup("SYSTEMDB", "HXE", HANA_INCREMENTAL, HANA_VIA_BACKINT, "x",
                     "BACKUP DATA INCREMENTAL FOR HXE USING BACKINT ('x')\n");
        check_backup("SYSTEMDB", "a-b", HANA_DIFFERENTIAL, HANA_VIA_FILE, "/x",
                     "BACKUP DATA DIFFERENTIAL FOR \"a-b\" USING FILE ('/x')\n");
        check_backup("HXE", "HXE", HANA_INCREMENTAL, HANA_VIA_FILE, "/x",
                     "BACKUP DATA INCREMENTAL USING FILE ('/x')\n");
}

static void test_channels(void) {
        const HanaCatalog own = { "SYSTEMDB", "SYSTEMDB" }, tenant = { "SYSTEMDB", "HXE" };
        _cleanup_buffer_ Buffer b = BUFFER_NULL;

        CHECK_OK(hana_sql_channels(&b, &own, 4));
        CHECK_OK(hana_sql_channels(&b, &tenant, 32));
        CHECK_STR(b.data,
                  "ALTER SYSTEM ALTER CONFIGURATION ('global.ini', 'SYSTEM') SET ('backup', "
                  "'parallel_data_backup_backint_channels') = '4' WITH RECONFIGURE\n"
                  "ALTER SYSTEM ALTER CONFIGURATION ('global.ini', 'DATABASE', 'HXE') SET ('backup', "
                  "'parallel_data_backup_backint_channels') = '32' WITH RECONFIGURE\n");
}

/* Whatever is asked is a few short lines, and of a tenant only what is the tenant's. */
static void check_questions(const char *database, const char *schema, bool filtered) {
        const HanaCatalog of = { "SYSTEMDB", database };
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        char only[64];
        size_t found = 0;

        CHECK_OK(hana_sql_find(&b, &of, "backupx.X.1"));
        CHECK_OK(hana_sql_logs(&b, &of));
        (void) snprintf(only, sizeof(only), ".DATABASE_NAME='%s'", database);
        for (const char *p = b.data; (p = strstr(p, only)); p++)
                found++;
        CHECK_INT(found, filtered ? 9 : 0);
        CHECK(strstr(b.data, schema));
        for (char *line = strtok(b.data, "\n"); line; line = strtok(NULL, "\n")) {
                CHECK(strlen(line) < HANA_LINE_MAX);
                CHECK(strstr(line, "SELECT 'BX1|") == line);
        }
}

static void test_questions(void) {
        static const char wide[] = "NAMED_AS_LONG_AS_ANY_THAT_SOMEBODY_WILL_GIVE";
        _cleanup_buffer_ Buffer b = BUFFER_NULL;

        check_questions("SYSTEMDB", " SYS.M_BACKUP_CATALOG_FILES ", false);
        check_questions("HXE", " SYS_DATABASES.M_BACKUP_CATALOG_FILES ", true);
        check_questions(wide, " SYS_DATABASES.M_BACKUP_CATALOG ", true);
        CHECK_INT(hana_sql_add(&b, "%*s", 2000, "x"), -E2BIG);
        CHECK_INT(hana_sql_add(&b, "a\nb"), -EINVAL);
        CHECK_INT(b.size, 0);
}

/* --- Answers ------------------------------------------------------------------------------------------ */

static void parse(const char *text, HanaAnswer *ret) {
        CHECK_OK(hana_answer_parse(text, strlen(text), ret));
}

static void test_answer(void) {
        _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;

        parse("0 rows affected (overall time 1.5 sec)\n"
              "BX1|is|HXE|2.00.045|SYSTEMDB\r\n"
              "\"BX1|database|HXE\"\n"
              "BX1|database|SYSTEMDB  \n"
              "BX1|backup|1700000000001|successful|complete data backup\n"
              "BX1|backup|x|successful|complete data backup\n"
              "BX1|piece|1700000000001|4096|volume|file||/b/x|y_databackup_1_1\n"
              "BX1|piece|1700000000001|0|topology|backint|e-1|/usr/sap/x\n"
              "BX1|piece|1|2|3\n"
              "BX1|other\nBX1|\nBX1\n\n"
              "BX1|end\n",
              &a);
        CHECK(a.whole);
        CHECK_STR(a.system, "HXE");
        CHECK_STR(a.version, "2.00.045");
        CHECK_STR(a.database, "SYSTEMDB");
        CHECK_INT(strv_length(a.databases), 2);
        CHECK_STR(a.databases[1], "SYSTEMDB");
        CHECK_INT(a.n_entries, 1);
        CHECK_INT(a.entries[0].id, INT64_C(1700000000001));
        CHECK_STR(a.entries[0].state, "successful");
        CHECK_STR(a.entries[0].type, "complete data backup");
        CHECK_INT(a.n_pieces, 2);
        CHECK_INT(a.pieces[0].size, 4096);
        CHECK_STR(a.pieces[0].path, "/b/x|y_databackup_1_1");
        CHECK_STR(a.pieces[0].ebid, "");
        CHECK_STR(a.pieces[1].ebid, "e-1");
        CHECK_STR(a.pieces[1].destination, "backint");
        CHECK_INT(a.error, 0);
        CHECK_STR(a.last, "BX1");
}

static void test_many_rows(void) {
        _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL, refused = HANA_ANSWER_NULL;
        _cleanup_buffer_ Buffer b = BUFFER_NULL;

        for (unsigned i = 0; i < 1000; i++)
                CHECK_OK(buffer_printf(&b, "BX1|piece|%u|1|volume|file||/b/%u\n", i, i));
        parse(b.data, &a);
        CHECK_INT(a.n_pieces, 1000);
        for (unsigned i = 0; i < 1000; i++)
                CHECK_INT(a.pieces[i].id, i);
        CHECK(!a.whole);
        for (unsigned i = 0; i < HANA_PIECES_MAX; i++)
                CHECK_OK(buffer_add_string(&b, "BX1|piece|1|1|volume|file||/b\n"));
        CHECK_INT(hana_answer_parse(b.data, b.size, &refused), -E2BIG);
}

static void test_errors(void) {
        static const struct {
                const char *text;
                int64_t error;
                const char *message;
        } table[] = {
                { "* 10: authentication failed SQLSTATE: 28000\n* -1: later\n", 10,
                  "authentication failed" },
                { "x\n* -10709: Connection failed (RTE:[89006] rc=111) SQLSTATE: 08000", -10709,
                  "Connection failed (RTE:[89006] rc=111)" },
                { "* 447: backup could not be completed", 447, "backup could not be completed" },
                { "*10: no\n* x: no\n* 0: no\n* : no\n*\n", 0, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;

                parse(table[i].text, &a);
                CHECK_INT(a.error, table[i].error);
                CHECK(streq_ptr(a.message, table[i].message));
        }
        CHECK(hana_error_is_final(10));
        CHECK(hana_error_is_final(258));
        CHECK(!hana_error_is_final(447));
        CHECK(!hana_error_is_final(0));
}

/* --- Names, pieces, recovery -------------------------------------------------------------------------- */

static void test_names(void) {
        char name[HANA_NAME_MAX + 1], all[HANA_NAME_MAX + 1];

        CHECK_STR(hana_name_new("HXE", 1763928541, 0xabc, name), "backupx.HXE.20251123T200901Z-00000abc");
        CHECK(startswith(name, hana_name_of("HXE", all)));
        CHECK(!startswith(name, hana_name_of("HX", all)));
        CHECK(!startswith(hana_name_new("HXE-2", 0, 0, name), hana_name_of("HXE", all)));
}

static void test_files(void) {
        _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL, odd = HANA_ANSWER_NULL;
        _cleanup_(hana_files_done) HanaFiles files = HANA_FILES_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;

        parse("BX1|piece|1|9|volume|file||/log/b\nBX1|piece|1|9|volume|file||/log/a\n"
              "BX1|piece|1|9|volume|backint|e|/x/c\nBX1|piece|2|9|catalog|file||/other//a\n",
              &a);
        CHECK_OK(hana_files_add_answer(&files, NULL, NULL, &a, NULL));
        CHECK_OK(hana_files_add_text(&files, "a", strdup("text")));
        hana_files_sort(&files);
        CHECK_INT(files.n, 2);
        CHECK_STR(files.items[0].text, "text");
        CHECK_STR(files.items[1].path, "/log/b");
        parse("BX1|piece|1|9|volume|file||/log/../etc/shadow\n", &odd);
        CHECK_INT(hana_files_add_answer(&files, NULL, NULL, &odd, &failure), -EBADMSG);
        CHECK_STR(failure.code, "HANA_FAILED");
}

static void check_recovery(const char *database, HanaBackup backup, HanaLevel level, HanaVia via,
                           const char *expected) {
        const HanaSettings how = { .backup = backup, .level = level, .via = via };
        const HanaAnswer answer = HANA_ANSWER_NULL;
        const HanaRecovery of = {
                .system = "HXE",
                .version = "2.00",
                .database = database,
                .how = &how,
                .name = backup == HANA_LOG ? NULL : "N",
                .id = 5,
                .answer = &answer,
        };
        _cleanup_(freep) char *text = NULL;

        CHECK_OK(hana_recovery_text(&of, &text));
        CHECK(strstr(text, expected));
        CHECK_INT(strstr(text, "chown -R hxeadm:sapsys DIRECTORY\n") != NULL, via == HANA_VIA_FILE);
}

static void test_recovery(void) {
        check_recovery("HXE", HANA_DATA, HANA_FULL, HANA_VIA_FILE,
                       "    ALTER SYSTEM STOP DATABASE \"HXE\"\n"
                       "    RECOVER DATA FOR \"HXE\" USING FILE ('DIRECTORY/N') CLEAR LOG\n");
        check_recovery("HXE", HANA_DATA, HANA_FULL, HANA_VIA_BACKINT,
                       "    RECOVER DATA FOR \"HXE\" USING BACKINT ('N') CLEAR LOG\n");
        check_recovery("SYSTEMDB", HANA_DATA, HANA_FULL, HANA_VIA_FILE,
                       "recoverSys.py --command=\"RECOVER DATA USING FILE ('DIRECTORY/N') CLEAR LOG\"\n");
        check_recovery("HXE", HANA_DATA, HANA_INCREMENTAL, HANA_VIA_FILE,
                       "    RECOVER DATABASE FOR \"HXE\" UNTIL TIMESTAMP 'YYYY-MM-DD HH:MM:SS' USING CATALOG"
                       " PATH ('DIRECTORY') USING LOG PATH ('DIRECTORY') USING DATA PATH ('DIRECTORY')\n");
        check_recovery("HXE", HANA_LOG, HANA_FULL, HANA_VIA_FILE, "    RECOVER DATABASE FOR \"HXE\" UNTIL");
        check_recovery("HXE", HANA_DATA, HANA_DIFFERENTIAL, HANA_VIA_BACKINT,
                       "    RECOVER DATABASE FOR \"HXE\" UNTIL TIMESTAMP 'YYYY-MM-DD HH:MM:SS'\n");
}

int main(void) {
        RUN(test_settings);
        RUN(test_settings_refused);
        RUN(test_words);
        RUN(test_connect);
        RUN(test_backup);
        RUN(test_channels);
        RUN(test_questions);
        RUN(test_answer);
        RUN(test_many_rows);
        RUN(test_errors);
        RUN(test_names);
        RUN(test_files);
        RUN(test_recovery);
        return 0;
}
