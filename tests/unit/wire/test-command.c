/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/command.h"
#include "wire/discovery.h"
#include "wire/hana.h"
#include "wire/result.h"
#include "wire/task-test.h"

static json_t *load(const char *text) {
        json_t *json = NULL;

        CHECK_OK(json_parse_text(text, &json, NULL));
        return json;
}

/* What was parsed and built again is the same document. */
static void check_same(json_t *built, const json_t *expected) {
        _cleanup_(freep) char *a = json_dumps(built, JSON_SORT_KEYS),
                              *b = json_dumps(expected, JSON_SORT_KEYS);

        CHECK_STR(a, b);
        json_decref(built);
}

#define TARGET "{\"id\":5,\"name\":\"disk\",\"type\":\"local\",\"config\":{\"path\":\"/srv\"}}"
#define BACKUP_TARGET \
        "{\"id\":5,\"name\":\"disk\",\"type\":\"local\",\"config\":{\"path\":\"/srv\"}," \
        "\"prefix\":\"web/etc/1-\"}"
#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ARCHIVE \
        "{\"target\":" TARGET ",\"key\":\"web/etc/1-1/\",\"manifest_sha256\":\"" DIGEST \
        "\",\"encrypted\":true,\"copies\":[{\"target\":" TARGET ",\"key\":\"b/\"}]}"
#define BACKUP \
        "{\"run\":12,\"task\":{\"id\":3,\"name\":\"etc\"},\"node\":{\"id\":1,\"name\":\"local\"}," \
        "\"source\":{\"paths\":[\"/etc\",{\"base64\":\"L/8=\"}],\"excludes\":[\"*.o\"]," \
        "\"one_file_system\":true,\"follow_symlinks\":false},\"format\":\"archive\"," \
        "\"compression\":{\"algorithm\":\"zstd\",\"level\":3},\"recipients\":[\"age1x\"]," \
        "\"targets\":[" BACKUP_TARGET "]}"

static void test_backup(void) {
        _cleanup_(backup_spec_done) BackupSpec s = BACKUP_SPEC_NULL;
        _cleanup_json_ json_t *json = load(BACKUP);
        json_t *built = NULL;

        CHECK_OK(backup_spec_parse(json, &s, NULL));
        CHECK_INT(s.run, 12);
        CHECK_STR(s.paths[1], "/\xff");
        CHECK(s.one_file_system && !s.follow_symlinks);
        CHECK_STR(s.targets[0].prefix, "web/etc/1-");
        CHECK_OK(backup_spec_build(&s, &built));
        check_same(built, json);
}

#define HOOKED \
        "{\"run\":12,\"task\":{\"id\":3,\"name\":\"etc\"},\"node\":{\"id\":1,\"name\":\"local\"}," \
        "\"source\":{\"paths\":[\"/etc\"],\"excludes\":[],\"one_file_system\":false," \
        "\"follow_symlinks\":false},\"format\":\"archive\",\"compression\":{\"algorithm\":\"zstd\"," \
        "\"level\":3},\"recipients\":[],\"hooks\":{\"pre\":[\"freeze\"],\"post\":[\"thaw\",\"b\"]," \
        "\"timeout_s\":5,\"on_failure\":\"warn\"},\"needs\":[\"hooks\"],\"targets\":[" BACKUP_TARGET "]}"

/* A node believes no name that its master should have refused. */
static void test_backup_with_hooks(void) {
        _cleanup_(backup_spec_done) BackupSpec s = BACKUP_SPEC_NULL, refused = BACKUP_SPEC_NULL;
        _cleanup_json_ json_t *json = load(HOOKED), *wrong = load(HOOKED);
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        json_t *built = NULL;

        CHECK_OK(backup_spec_parse(json, &s, NULL));
        CHECK_STR(s.hooks.post[1], "b");
        CHECK_INT(s.hooks.on_failure, HOOK_POLICY_WARN);
        CHECK_OK(backup_spec_build(&s, &built));
        check_same(built, json);
        CHECK_OK(json_set(json_object_get(wrong, "hooks"), "pre", load("[\"../../bin/sh\"]")));
        CHECK_INT(backup_spec_parse(wrong, &refused, &failure), -EBADMSG);
        CHECK_STR(failure.field, "hooks.pre[0]");
}

#define SQLITE \
        "{\"run\":12,\"task\":{\"id\":3,\"name\":\"etc\"},\"node\":{\"id\":1,\"name\":\"local\"}," \
        "\"type\":\"sqlite\",\"database\":{\"paths\":[\"/srv/*/x.db\"]},\"format\":\"archive\"," \
        "\"compression\":{\"algorithm\":\"zstd\",\"level\":3},\"recipients\":[]," \
        "\"targets\":[" BACKUP_TARGET "]}"

/* A database is no source of files, also for those who know no databases. */
static void test_backup_of_databases(void) {
        static const struct {
                const char *path, *value, *field;
        } table[] = {
                { "database", "{\"paths\":[]}", "database.paths" },
                { "database", "{\"paths\":[\"x.db\"]}", "database.paths[0]" },
                { "database", "{\"paths\":[\"/a/../x.db\"]}", "database.paths[0]" },
                { "database", "{\"paths\":[\"/a\",\"/**/x.db\"]}", "database.paths[1]" },
                { "database", "3", "database" },
                { "type", "\"oracle\"", "type" },
                { "type", "\"file\"", "source" },
        };
        _cleanup_(backup_spec_done) BackupSpec s = BACKUP_SPEC_NULL;
        _cleanup_json_ json_t *json = load(SQLITE);
        json_t *built = NULL;

        CHECK_OK(backup_spec_parse(json, &s, NULL));
        CHECK_INT(s.type, SOURCE_SQLITE);
        CHECK_STR(s.database.paths[0], "/srv/*/x.db");
        CHECK(!s.paths);
        CHECK_OK(backup_spec_build(&s, &built));
        check_same(built, json);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(backup_spec_done) BackupSpec refused = BACKUP_SPEC_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_json_ json_t *wrong = load(SQLITE);

                CHECK_OK(json_set(wrong, table[i].path, load(table[i].value)));
                CHECK_INT(backup_spec_parse(wrong, &refused, &failure), -EBADMSG);
                CHECK_STR(failure.field, table[i].field);
        }
}

#define SERVER "{\"user\":\"b\",\"host\":\"db\",\"port\":3307,\"tls\":\"verify\",\"tls_ca\":\"/ca\"}"
#define MYSQL \
        "{\"run\":12,\"task\":{\"id\":3,\"name\":\"etc\"},\"node\":{\"id\":1,\"name\":\"local\"}," \
        "\"type\":\"mysql\",\"database\":{\"server\":" SERVER ",\"databases\":[\"shop\",\"crm_*\"]," \
        "\"exclude\":[]},\"format\":\"archive\"," \
        "\"compression\":{\"algorithm\":\"zstd\",\"level\":3},\"recipients\":[]," \
        "\"targets\":[" BACKUP_TARGET "]}"

static void test_backup_of_a_server(void) {
        _cleanup_(backup_spec_done) BackupSpec s = BACKUP_SPEC_NULL;
        _cleanup_json_ json_t *json = load(MYSQL);
        json_t *built = NULL;

        CHECK_OK(backup_spec_parse(json, &s, NULL));
        CHECK_INT(s.type, SOURCE_MYSQL);
        CHECK_STR(s.database.server.host, "db");
        CHECK_INT(s.database.server.port, 3307);
        CHECK_INT(s.database.server.tls, DATABASE_TLS_VERIFY);
        CHECK_STR(s.database.databases[1], "crm_*");
        CHECK_OK(backup_spec_build(&s, &built));
        check_same(built, json);
}

#define SAPHANA \
        "{\"run\":12,\"task\":{\"id\":3,\"name\":\"etc\"},\"node\":{\"id\":1,\"name\":\"local\"}," \
        "\"type\":\"saphana\",\"database\":{\"server\":{\"key\":\"K\",\"home\":\"/h\"},\"backup\":\"log\"," \
        "\"via\":\"file\",\"retries\":3,\"databases\":[\"HXE\"],\"exclude\":[]},\"format\":\"archive\"," \
        "\"compression\":{\"algorithm\":\"zstd\",\"level\":3},\"recipients\":[]," \
        "\"targets\":[" BACKUP_TARGET "]}"

static void test_backup_of_hana(void) {
        _cleanup_(backup_spec_done) BackupSpec s = BACKUP_SPEC_NULL, refused = BACKUP_SPEC_NULL;
        _cleanup_json_ json_t *json = load(SAPHANA);
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        json_t *built = NULL;

        CHECK_OK(backup_spec_parse(json, &s, NULL));
        CHECK_INT(s.type, SOURCE_SAPHANA);
        CHECK_STR(s.database.hana->server.key, "K");
        CHECK_INT(s.database.hana->backup, HANA_LOG);
        CHECK_STR(s.database.databases[0], "HXE");
        CHECK_OK(backup_spec_build(&s, &built));
        check_same(built, json);
        CHECK_OK(json_set(json_object_get(json, "database"), "via", json_string("backint")));
        CHECK_INT(backup_spec_parse(json, &refused, &failure), -EBADMSG);
        CHECK_STR(failure.field, "database.via");
}

/* An agent that does not know it would back up, and restore, something else. */
static void test_one_snapshot(void) {
        static const struct {
                const char *path;
                bool needs;
        } paths[] = { { "/mysql/shop.sql", false },
                      { "/mysql/tables/shop.sql", true },
                      { "/mysql/routines/shop.sql", false } };
        _cleanup_(backup_spec_done) BackupSpec s = BACKUP_SPEC_NULL, again = BACKUP_SPEC_NULL;
        _cleanup_json_ json_t *json = load(MYSQL), *expected = load("[\"one-snapshot\"]");
        json_t *built = NULL;

        CHECK_OK(json_set(json_object_get(json, "database"), "one_snapshot", json_true()));
        CHECK_OK(backup_spec_parse(json, &s, NULL));
        CHECK(s.database.one_snapshot);
        CHECK_OK(backup_spec_build(&s, &built));
        CHECK(json_equal(json_object_get(built, "needs"), expected));
        CHECK_OK(backup_spec_parse(built, &again, NULL));
        CHECK(again.database.one_snapshot);
        json_decref(built);
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                RestoreSpec restore = {
                        .type = SOURCE_MYSQL,
                        .database = { .path = (char *) paths[i].path, .name = (char *) "x" },
                        .archive = { .primary = { .target = { .id = 1,
                                                              .name = (char *) "t",
                                                              .type = (char *) "local",
                                                              .config = json_object() },
                                                  .key = (char *) "k/" } },
                };

                CHECK_OK(restore_spec_build(&restore, &built));
                CHECK((json_object_get(built, "needs") != NULL) == paths[i].needs);
                json_decref(built);
                json_decref(restore.archive.primary.target.config);
        }
}

static void test_backup_refused(void) {
        static const struct {
                const char *path, *value, *field;
        } table[] = {
                { "run", "\"x\"", "run" },
                { "task", "3", "task" },
                { "targets", "[]", "targets" },
                { "targets", "[" TARGET "]", "targets[0].prefix" },
                { "targets", "[3]", "targets[0]" },
                { "source", "{\"paths\":[]}", "source.paths" },
                { "source", "{\"paths\":[\"\"]}", "source.paths[0]" },
                { "compression", "{\"algorithm\":\"zstd\",\"level\":99}", "compression.level" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(backup_spec_done) BackupSpec s = BACKUP_SPEC_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_json_ json_t *json = load(BACKUP);

                CHECK_OK(json_set(json, table[i].path, load(table[i].value)));
                CHECK_INT(backup_spec_parse(json, &s, &failure), -EBADMSG);
                CHECK_STR(failure.field, table[i].field);
        }
}

#define RESTORE(destination) \
        "{\"run\":13,\"source_run\":12,\"archive\":" ARCHIVE ",\"destination\":" destination \
        ",\"paths\":[\"/etc/passwd\"],\"conflict\":\"skip\"}"

static void test_restore(void) {
        static const char *const good[] = {
                RESTORE("{\"path\":\"/tmp/x\"}"),
                RESTORE("{\"in_place\":true}"),
                RESTORE("{\"database\":{\"path\":\"/mysql/x.sql\",\"name\":\"x\",\"drop\":true,"
                        "\"server\":" SERVER "}}"),
        };
        static const char *const bad[] = {
                RESTORE("{}"),
                RESTORE("null"),
                RESTORE("{\"in_place\":false}"),
                RESTORE("{\"in_place\":true,\"path\":\"/tmp\"}"),
                RESTORE("{\"path\":\"tmp\"}"),
                RESTORE("{\"path\":\"/tmp/../etc\"}"),
                RESTORE("{\"database\":{\"path\":\"/mysql/x.sql\",\"name\":\"x\"}}"),
                RESTORE("{\"database\":{\"path\":\"x.sql\",\"name\":\"x\",\"server\":" SERVER "}}"),
                RESTORE("{\"database\":{\"path\":\"/x.sql\",\"name\":\"\",\"server\":" SERVER "}}"),
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_(restore_spec_done) RestoreSpec s = RESTORE_SPEC_NULL;
                _cleanup_json_ json_t *json = load(good[i]);
                json_t *built = NULL;

                CHECK_OK(restore_spec_parse(json, &s, NULL));
                CHECK_INT(s.conflict, RESTORE_CONFLICT_SKIP);
                CHECK(s.in_place == (i == 1));
                CHECK((s.database.path != NULL) == (i == 2));
                CHECK_INT(s.archive.manifest_sha256[1], 0x11);
                CHECK_INT(s.archive.n_copies, 1);
                CHECK_OK(restore_spec_build(&s, &built));
                check_same(built, json);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(restore_spec_done) RestoreSpec s = RESTORE_SPEC_NULL;
                _cleanup_json_ json_t *json = load(bad[i]);

                if (restore_spec_parse(json, &s, NULL) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
        }
}

static void test_listing(void) {
        _cleanup_(listing_spec_done) ListingSpec browse = LISTING_SPEC_NULL, dir = LISTING_SPEC_NULL,
                                                 bad = LISTING_SPEC_NULL;
        _cleanup_json_ json_t *a = load("{\"archive\":" ARCHIVE
                                        ",\"path\":\"\",\"limit\":7,\"cursor\":\"x\"}"),
                              *b = load("{\"path\":\"/etc\"}"), *c = load("{\"path\":\"etc\"}");
        json_t *built = NULL;

        CHECK_OK(listing_spec_parse(a, COMMAND_BROWSE, &browse, NULL));
        CHECK_STR(browse.path, "");
        CHECK_INT(browse.limit, 7);
        CHECK_OK(listing_spec_build(&browse, COMMAND_BROWSE, &built));
        check_same(built, a);
        CHECK_OK(listing_spec_parse(b, COMMAND_LIST_DIR, &dir, NULL));
        CHECK_INT(dir.limit, LISTING_LIMIT_DEFAULT);
        CHECK_STR(dir.cursor, "");
        CHECK_INT(listing_spec_parse(c, COMMAND_LIST_DIR, &bad, NULL), -EBADMSG);
        CHECK_INT(listing_spec_parse(b, COMMAND_BROWSE, &bad, NULL), -EBADMSG);
}

#define READ(more) "{\"archive\":" ARCHIVE "," more "}"

static void test_read(void) {
        static const char *const bad[] = {
                READ("\"path\":\"etc\",\"offset\":0,\"length\":1"),
                READ("\"path\":\"/etc\",\"offset\":0,\"length\":0"),
                READ("\"path\":\"/etc\",\"offset\":-1,\"length\":1"),
                READ("\"path\":\"/etc\",\"offset\":0,\"length\":2097153"),
                READ("\"offset\":0,\"length\":1"),
                "{\"path\":\"/etc\",\"offset\":0,\"length\":1}",
        };
        _cleanup_(read_spec_done) ReadSpec s = READ_SPEC_NULL;
        _cleanup_json_ json_t *good = load(READ("\"path\":\"/f\",\"offset\":9,\"length\":2097152")),
                              *answer = load("{\"size\":7,\"content\":\"AP8=\"}");
        json_t *built = NULL, *result = NULL;

        CHECK_OK(read_spec_parse(good, &s, NULL));
        CHECK_STR(s.path, "/f");
        CHECK_INT(s.offset, 9);
        CHECK_OK(read_spec_build(&s, &built));
        check_same(built, good);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(read_spec_done) ReadSpec none = READ_SPEC_NULL;
                _cleanup_json_ json_t *json = load(bad[i]);

                if (read_spec_parse(json, &none, NULL) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
        }
        CHECK_OK(read_result_build(7, "\0\xff", 2, &result));
        check_same(result, answer);
}

#define PLACE "\"id\":5,\"name\":\"disk\",\"type\":\"local\",\"config\":{}"
#define COPY(place, id) "{\"target\":{" place "},\"id\":\"" id "\"}"
#define WHOLE_COPY COPY(PLACE ",\"prefix\":\"n/r/\"", DIGEST)
#define VERIFY(copies, shares) \
        "{\"run\":13,\"source_run\":12,\"snapshots\":[" copies "]," shares "}"

static void test_verify(void) {
        static const char *const bad[] = {
                VERIFY("", "\"share\":0,\"shares\":0"),
                VERIFY(WHOLE_COPY, "\"share\":2,\"shares\":1"),
                VERIFY(WHOLE_COPY, "\"share\":0,\"shares\":1"),
                VERIFY(WHOLE_COPY, "\"share\":1,\"shares\":1001"),
                "{\"run\":13,\"source_run\":12}",
        };
        _cleanup_json_ json_t *good = load(VERIFY(WHOLE_COPY, "\"share\":3,\"shares\":7"));
        _cleanup_(verify_spec_done) VerifySpec s = VERIFY_SPEC_NULL;
        json_t *built = NULL;

        CHECK_OK(verify_spec_parse(good, &s, NULL));
        CHECK_INT(s.snapshots.n, 1);
        CHECK_INT(s.share, 3);
        CHECK_OK(verify_spec_build(&s, &built));
        check_same(built, good);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(verify_spec_done) VerifySpec none = VERIFY_SPEC_NULL;
                _cleanup_json_ json_t *json = load(bad[i]);

                if (verify_spec_parse(json, &none, NULL) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
        }
}

/* Whose locks are nobody's goes beside what any kind of spec says. */
static void test_ended(void) {
        _cleanup_json_ json_t *spec = load(VERIFY(WHOLE_COPY, "\"share\":3,\"shares\":7"));
        _cleanup_json_ json_t *bad = load("{\"ended_commands\":[7]}"), *plain = json_deep_copy(spec);
        char *const names[] = { (char *) "command-7-1", (char *) "command-5-2", NULL };
        _cleanup_(verify_spec_done) VerifySpec s = VERIFY_SPEC_NULL;
        _cleanup_(strv_freep) char **found = NULL, **none = NULL;

        CHECK_OK(spec_add_ended(spec, NULL));
        CHECK(json_equal(spec, plain));
        CHECK_OK(spec_read_ended(spec, &none, NULL));
        CHECK(!none);
        CHECK_OK(spec_add_ended(spec, names));
        CHECK_OK(verify_spec_parse(spec, &s, NULL));
        CHECK_OK(spec_read_ended(spec, &found, NULL));
        CHECK_INT(strv_length(found), 2);
        CHECK_STR(found[0], names[0]);
        CHECK_STR(found[1], names[1]);
        CHECK_INT(spec_read_ended(bad, &none, NULL), -EBADMSG);
}

static void test_discovery(void) {
        static const struct {
                const char *json;
                int n; /* globs; negative: refused */
        } table[] = {
                { "{}", 9 },
                { "{\"sqlite\":null}", 9 },
                { "{\"sqlite\":[]}", 0 },
                { "{\"sqlite\":[\"/srv/*/x.db\",\"/a\"]}", 2 },
                { "{\"sqlite\":[\"srv/x\"]}", -1 },
                { "{\"sqlite\":[\"/srv/../x\"]}", -1 },
                { "{\"sqlite\":[\"/srv/**/x\"]}", -1 },
                { "{\"sqlite\":[\"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17\"]}", -1 },
                { "{\"sqlite\":[7]}", -1 },
                { "{\"sqlite\":\"/x\"}", -1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(discovery_spec_done) DiscoverySpec s = DISCOVERY_SPEC_NULL;
                _cleanup_json_ json_t *json = load(table[i].json), *built = NULL;
                JsonReader reader;

                (void) json_reader_init(&reader, json, NULL);
                CHECK_OK(discovery_spec_read(&reader, &s));
                CHECK_INT(json_reader_finish(&reader), table[i].n < 0 ? -EBADMSG : 0);
                if (table[i].n < 0)
                        continue;
                CHECK_INT(strv_length(s.sqlite), table[i].n);
                CHECK_OK(discovery_spec_build(&s, &built));
                CHECK_INT(json_array_size(json_object_get(built, "sqlite")), table[i].n);
        }
}

/* Whoever reads it: a rule of a server that is not known is none to pass over. */
static void test_discovery_of_a_server(void) {
        static const char *const bad[] = {
                "{\"server\":7}",
                "{\"server\":{\"host\":\"h\",\"user\":\"u\"}}",
                "{\"server\":{\"type\":\"sqlite\",\"host\":\"h\",\"user\":\"u\"}}",
                "{\"server\":{\"type\":\"mysql\",\"user\":\"u\"}}",
                "{\"server\":{\"type\":\"mysql\",\"host\":\"h\",\"user\":\"u\",\"password\":\"p\"}}",
        };
        _cleanup_json_ json_t *json = load("{\"sqlite\":[],\"server\":{\"type\":\"postgresql\",\"socket\":"
                                           "\"/run/x\",\"user\":\"u\",\"tls\":\"require\"}}");
        _cleanup_(discovery_spec_done) DiscoverySpec s = DISCOVERY_SPEC_NULL;
        json_t *built = NULL;
        JsonReader reader;

        (void) json_reader_init(&reader, json, NULL);
        CHECK_OK(discovery_spec_read(&reader, &s));
        CHECK_OK(json_reader_finish(&reader));
        CHECK_INT(s.type, SOURCE_POSTGRESQL);
        CHECK_STR(s.server.socket, "/run/x");
        CHECK_OK(discovery_spec_build(&s, &built));
        check_same(built, json);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(discovery_spec_done) DiscoverySpec t = DISCOVERY_SPEC_NULL;
                _cleanup_json_ json_t *text = load(bad[i]);

                (void) json_reader_init(&reader, text, NULL);
                CHECK_OK(discovery_spec_read(&reader, &t));
                CHECK_INT(json_reader_finish_lenient(&reader), -EBADMSG);
                CHECK_INT(t.type, SOURCE_FILE);
        }
}

static void test_open_sources(void) {
        static const struct {
                const char *names;
                bool is_open;
        } table[] = {
                { "[]", true },
                { "[\"shop\"]", false },
                { "[\"shop\",\"crm_*\"]", true },
                { "[\"a?\"]", true },
                { "[\"[ab]\"]", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(database_source_done) DatabaseSource s = DATABASE_SOURCE_NULL;
                _cleanup_json_ json_t *json = json_pack("{s:{s:s,s:s},s:o}", "server", "host", "h", "user",
                                                        "u", "databases", load(table[i].names));
                JsonReader reader;

                (void) json_reader_init(&reader, json, NULL);
                CHECK_OK(database_source_read(&reader, SOURCE_MYSQL, &s));
                CHECK_INT(database_source_is_open(&s), table[i].is_open);
        }
}

static void test_task_test(void) {
        static const char *const good[] = {
                "{\"type\":\"file\",\"source\":{\"paths\":[\"/etc\",{\"base64\":\"L/8=\"}]},"
                "\"hooks\":{\"pre\":[\"freeze\"],\"post\":[],\"timeout_s\":5,\"on_failure\":\"warn\"},"
                "\"targets\":[" TARGET "]}",
                "{\"type\":\"sqlite\",\"source\":{\"paths\":[\"/srv/*.db\"]},\"targets\":[]}",
                "{\"type\":\"mysql\",\"source\":{\"server\":{\"host\":\"h\",\"user\":\"u\"},\"databases\":"
                "[\"a*\"],\"exclude\":[]},\"targets\":[" TARGET "," BACKUP_TARGET "]}",
        };
        static const char *const bad[] = {
                "{\"source\":{\"paths\":[\"/etc\"]}}",
                "{\"type\":\"file\"}",
                "{\"type\":\"file\",\"source\":{}}",
                "{\"type\":\"mysql\",\"source\":{\"paths\":[\"/etc\"]}}",
                "{\"type\":\"file\",\"source\":{\"paths\":[\"/etc\"]},\"targets\":[{}]}",
                "{\"type\":\"file\",\"source\":{\"paths\":[\"/etc\"]},\"hooks\":{\"pre\":[\"/x\"]}}",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_(task_test_spec_done) TaskTestSpec s = TASK_TEST_SPEC_NULL;
                _cleanup_json_ json_t *json = load(good[i]);
                json_t *built = NULL;

                CHECK_OK(task_test_spec_parse(json, &s, NULL));
                CHECK_OK(task_test_spec_build(&s, &built));
                check_same(built, json);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(task_test_spec_done) TaskTestSpec s = TASK_TEST_SPEC_NULL;
                _cleanup_json_ json_t *json = load(bad[i]);

                CHECK_INT(task_test_spec_parse(json, &s, NULL), -EBADMSG);
        }
}

static void test_secrets(void) {
        _cleanup_(command_secrets_done) CommandSecrets s = COMMAND_SECRETS_NULL, bad = COMMAND_SECRETS_NULL;
        _cleanup_json_ json_t *
                        json = load("{\"targets\":{\"5\":{\"password\":\"p\"}},\"file_keys\":{"
                                    "\"data\":\"AAECAwQFBgcICQoLDA0ODw==\","
                                    "\"entries\":\"AAECAwQFBgcICQoLDA0ODw==\","
                                    "\"manifest\":\"AAECAwQFBgcICQoLDA0ODw==\"}}"),
                       *cut = load("{\"file_keys\":{\"data\":\"AAEC\",\"entries\":\"\",\"manifest\":\"\"}}");
        json_t *built = NULL;

        CHECK_OK(command_secrets_parse(json, &s, NULL));
        CHECK_INT(s.key_manifest[15], 15);
        CHECK(json_is_object(command_secrets_target(&s, 5)));
        CHECK(!command_secrets_target(&s, 6));
        CHECK_OK(command_secrets_build(&s, &built));
        check_same(built, json);
        CHECK_INT(command_secrets_parse(cut, &bad, NULL), -EBADMSG);
}

static void test_repository_secrets(void) {
        static const char *const bad[] = {
                "{\"password\":\"p\"}",
                "{\"polynomial\":\"3f\"}",
                "{\"password\":\"p\",\"polynomial\":\"3F\"}",
                "{\"password\":\"p\",\"polynomial\":\"123456789abcdef01\"}",
                "{\"password\":1,\"polynomial\":\"3f\"}",
                "{\"password\":\"p\",\"polynomial\":\"\"}",
                "[]",
        };
        _cleanup_(command_secrets_done) CommandSecrets s = COMMAND_SECRETS_NULL, back = COMMAND_SECRETS_NULL;
        const RepositorySecret secret = { "p\"w", UINT64_C(0x3da3358b4dc173) };
        _cleanup_json_ json_t *built = NULL, *list = load("{\"repository\":[]}");
        RepositorySecret found = {};

        CHECK_INT(command_secrets_repository(&s, 5, &found), -ENOKEY);
        CHECK_OK(command_secrets_add_repository(&s, 5, &secret));
        CHECK_OK(command_secrets_build(&s, &built));
        CHECK_OK(command_secrets_parse(built, &back, NULL));
        CHECK_OK(command_secrets_repository(&back, 5, &found));
        CHECK_STR(found.password, "p\"w");
        CHECK_INT(found.polynomial, secret.polynomial);
        CHECK_INT(command_secrets_repository(&back, 6, &found), -ENOKEY);
        CHECK_INT(command_secrets_parse(list, &(CommandSecrets){}, NULL), -EBADMSG);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_json_ json_t *json = load(bad[i]);

                if (repository_secret_parse(json, &found) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
        }
}

#define RESTORE_OF(backup) \
        "{\"run\":2,\"source_run\":1," backup \
        "\"destination\":{\"path\":\"/to\"},\"paths\":[\"/etc\"],\"conflict\":\"skip\"}"

static void test_restore_snapshot(void) {
        static const char *const bad[] = {
                RESTORE_OF(""),
                RESTORE_OF("\"snapshots\":[],"),
                RESTORE_OF("\"snapshots\":[" COPY(PLACE ",\"prefix\":\"n/r/\"", "latest") "],"),
                RESTORE_OF("\"snapshots\":[{\"id\":\"" DIGEST "\"}],"),
                RESTORE_OF("\"snapshots\":[" COPY(PLACE, DIGEST) "],"),
        };
        _cleanup_json_ json_t *json = load(
                        RESTORE_OF("\"snapshots\":[" COPY(PLACE ",\"prefix\":\"n/r/\"", DIGEST) "],"));
        _cleanup_(restore_spec_done) RestoreSpec spec = RESTORE_SPEC_NULL;
        json_t *built = NULL;

        CHECK_OK(restore_spec_parse(json, &spec, NULL));
        CHECK_INT(spec.snapshots.n, 1);
        CHECK_STR(spec.snapshots.copies[0].id, DIGEST);
        CHECK_STR(spec.snapshots.copies[0].target.prefix, "n/r/");
        CHECK_OK(restore_spec_build(&spec, &built));
        check_same(built, json);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(restore_spec_done) RestoreSpec other = RESTORE_SPEC_NULL;
                _cleanup_json_ json_t *text = load(bad[i]);

                if (restore_spec_parse(text, &other, NULL) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
        }
}

#define SHORT "\"bytes_read\":1,\"bytes_written\":2,\"files\":3"
#define REPOSITORY_TARGET(id) \
        "\"targets\":[{\"target_id\":5,\"state\":\"succeeded\",\"key\":\"n/r/\",\"size\":0," \
        "\"sha256\":null,\"snapshot\":\"" id "\",\"error\":null}]"

static void test_repository_outcome(void) {
        _cleanup_json_ json_t *
                        json = load("{" SHORT ",\"skipped\":4,\"errors\":[],\"errors_total\":0,"
                                    "\"lost_total\":0,\"objects\":[],\"manifest_sha256\":null,"
                                    "\"first_read_usec\":11,\"files_new\":1,\"files_changed\":2,"
                                    "\"files_unchanged\":3,\"bytes_new\":4,"
                                    "\"bytes_total\":5," REPOSITORY_TARGET(DIGEST) "}"),
                       *name = load("{" SHORT "," REPOSITORY_TARGET("latest") "}");
        _cleanup_(backup_outcome_done) BackupOutcome o = BACKUP_OUTCOME_NULL, bad = BACKUP_OUTCOME_NULL;
        json_t *built = NULL;

        CHECK_OK(backup_outcome_parse(json, &o, NULL));
        CHECK_STR(o.targets[0].snapshot, DIGEST);
        CHECK(o.has_counts);
        CHECK_INT(o.files_changed, 2);
        CHECK_INT(o.bytes_total, 5);
        CHECK_OK(backup_outcome_build(&o, &built));
        check_same(built, json);
        CHECK_INT(backup_outcome_parse(name, &bad, NULL), -EBADMSG);
}

static void test_backup_outcome(void) {
        _cleanup_(backup_outcome_done) BackupOutcome o = BACKUP_OUTCOME_NULL, bad = BACKUP_OUTCOME_NULL;
        _cleanup_json_ json_t *
                        json = load("{\"bytes_read\":1,\"bytes_written\":2,\"files\":3,\"skipped\":4,"
                                    "\"errors\":[{\"path\":{\"base64\":\"L/8=\"},\"code\":\"EACCES\","
                                    "\"message\":\"no\"}],\"errors_total\":9,"
                                    "\"lost_total\":8,"
                                    "\"objects\":[{\"name\":\"data.tar.zst\",\"size\":7,\"sha256\":\"" DIGEST
                                    "\",\"age_header\":null}],\"manifest_sha256\":\"" DIGEST "\","
                                    "\"targets\":[{\"target_id\":5,\"state\":\"succeeded\",\"key\":\"k/\","
                                    "\"size\":7,\"sha256\":\"" DIGEST "\",\"error\":null},"
                                    "{\"target_id\":6,\"state\":\"failed\",\"key\":null,\"size\":0,"
                                    "\"sha256\":null,\"error\":\"full\"}],\"first_read_usec\":11}"),
                       *slash = load("{\"bytes_read\":1,\"bytes_written\":2,\"files\":3,\"targets\":[],"
                                     "\"objects\":[{\"name\":\"a/b\",\"size\":7,\"sha256\":\"" DIGEST
                                     "\"}]}");
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        json_t *built = NULL;

        CHECK_OK(backup_outcome_parse(json, &o, NULL));
        CHECK_INT(o.figures.errors_total, 9);
        CHECK_INT(o.lost_total, 8);
        CHECK_STR(o.figures.errors[0].path, "/\xff");
        CHECK(o.targets[0].succeeded && !o.targets[1].succeeded);
        CHECK_OK(backup_outcome_build(&o, &built));
        check_same(built, json);
        CHECK_INT(backup_outcome_parse(slash, &bad, &failure), -EBADMSG);
        CHECK_STR(failure.field, "objects[0].name");
}

static void test_kinds(void) {
        CHECK_INT(command_kind_from_string("backup"), COMMAND_BACKUP);
        CHECK_INT(command_kind_from_string("self_check"), COMMAND_SELF_CHECK);
        CHECK(command_kind_from_string("x") < 0);
        CHECK(command_kind_from_string(NULL) < 0);
        CHECK(command_kind_is_probe(COMMAND_BROWSE) && !command_kind_is_probe(COMMAND_RESTORE));
}

int main(void) {
        RUN(test_backup);
        RUN(test_backup_with_hooks);
        RUN(test_backup_of_databases);
        RUN(test_backup_of_a_server);
        RUN(test_backup_of_hana);
        RUN(test_one_snapshot);
        RUN(test_backup_refused);
        RUN(test_restore);
        RUN(test_listing);
        RUN(test_read);
        RUN(test_verify);
        RUN(test_ended);
        RUN(test_discovery);
        RUN(test_discovery_of_a_server);
        RUN(test_open_sources);
        RUN(test_task_test);
        RUN(test_secrets);
        RUN(test_repository_secrets);
        RUN(test_restore_snapshot);
        RUN(test_repository_outcome);
        RUN(test_backup_outcome);
        RUN(test_kinds);
        return EXIT_SUCCESS;
}
