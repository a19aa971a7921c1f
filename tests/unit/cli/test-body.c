/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "cli/body.h"
#include "tests/test.h"

static void check_json(json_t *json, const char *expected) {
        _cleanup_(freep) char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

        CHECK_STR(text, expected);
}

static int from_options(const char *const *words, Cli *c, json_t *body) {
        _cleanup_(arguments_done) Arguments a = ARGUMENTS_NULL;
        char *argv[24];
        const Command *command;
        int argc = 0, used;

        for (; words[argc]; argc++)
                argv[argc] = (char *) words[argc];
        command = command_find(argv, argc, &used);
        CHECK(command);
        CHECK_OK(arguments_parse(command, argc - used, argv + used, &a, &c->failure));
        return body_from_options(c, &a, body);
}

static void test_set(void) {
        _cleanup_json_ json_t *body = json_object();

        CHECK_OK(body_set(body, "a", json_integer(1)));
        CHECK_OK(body_set(body, "b.c.d", json_true()));
        CHECK_OK(body_set(body, "b.c.e", json_string("x")));
        CHECK_OK(body_set(body, "b.c.d", json_false()));
        check_json(body, "{\"a\":1,\"b\":{\"c\":{\"d\":false,\"e\":\"x\"}}}");
}

static void test_options(void) {
        _cleanup_json_ json_t *body = json_object();
        _cleanup_(cli_done) Cli c = CLI_NULL;
        const char *const words[] = { "tasks",
                                      "create",
                                      "etc",
                                      "--node",
                                      "7",
                                      "-p",
                                      "/etc",
                                      "-p",
                                      "/caf\xe9",
                                      "-t",
                                      "3",
                                      "-t",
                                      "5",
                                      "--level",
                                      "9",
                                      "--no-catch-up",
                                      "--one-file-system",
                                      NULL };

        CHECK_OK(from_options(words, &c, body));
        check_json(body,
                   "{\"compression\":{\"level\":9},\"node_id\":7,\"schedule\":{\"catch_up\":false},"
                   "\"source\":{\"one_file_system\":true,\"paths\":[\"/etc\",{\"base64\":\"L2NhZuk=\"}]},"
                   "\"target_ids\":[3,5]}");
}

static void test_databases(void) {
        _cleanup_json_ json_t *task = json_object(), *restore = json_object();
        _cleanup_(cli_done) Cli c = CLI_NULL;
        const char *const make[] = { "tasks", "create", "shop", "--type", "mysql",
                                     "--host", "db", "--port", "3307", "--db-user",
                                     "b", "-t", "3", "--tls", "verify",
                                     "--database", "shop", "--database", "crm_*", "--exclude-database",
                                     "*_test", NULL };
        const char *const into[] = { "restores", "create", "42", "--dump", "/mysql/shop.sql", "--database",
                                     "copy", "--drop", "--server-of", "5", NULL };

        CHECK_OK(from_options(make, &c, task));
        check_json(task, "{\"source\":{\"databases\":[\"shop\",\"crm_*\"],\"exclude\":[\"*_test\"],"
                         "\"server\":{\"host\":\"db\",\"port\":3307,\"tls\":\"verify\",\"user\":\"b\"}},"
                         "\"target_ids\":[3],\"type\":\"mysql\"}");
        CHECK_OK(from_options(into, &c, restore));
        check_json(restore, "{\"destination\":{\"database\":{\"drop\":true,\"name\":\"copy\","
                            "\"path\":\"/mysql/shop.sql\",\"task_id\":5}}}");
}

/* A server that is asked what is in it. */
static void test_discovery(void) {
        static const char *const words[] = { "nodes", "discover-databases", "7", "--type", "postgresql",
                                             "--host", "db", "--db-user", "b", NULL };
        static const char *const of_task[] = { "nodes", "discover-databases", "7",
                                               "--server-of", "5", NULL };
        _cleanup_json_ json_t *body = json_object(), *other = json_object();
        _cleanup_(cli_done) Cli c = CLI_NULL;

        CHECK_OK(from_options(words, &c, body));
        check_json(body, "{\"server\":{\"host\":\"db\",\"type\":\"postgresql\",\"user\":\"b\"}}");
        CHECK_OK(from_options(of_task, &c, other));
        check_json(other, "{\"task_id\":5}");
}

/* Parts keep what is not named; what is no part is left alone. */
static void test_merge(void) {
        _cleanup_json_ json_t *current = json_pack("{s:i, s:{s:[s], s:b}, s:n}", "id", 7, "source", "paths",
                                                   "/a",
                                                   "one_file_system", 1, "hooks");
        _cleanup_json_ json_t *body = json_pack("{s:{s:[s]}, s:{s:i}, s:i}", "source", "paths", "/b",
                                                "hooks",
                                                "timeout_s", 5, "node_id", 3);

        CHECK_OK(body_merge(current, body));
        check_json(body, "{\"hooks\":{\"timeout_s\":5},\"node_id\":3,\"source\":{\"one_file_system\":true,"
                         "\"paths\":[\"/b\"]}}");
}

/* One thing about a server leaves the others; how it is reached is one thing. */
static void test_merge_of_servers(void) {
        static const struct {
                const char *current, *change, *expected;
        } cases[] = {
                { "\"host\":\"db\",\"port\":1,\"user\":\"u\"", "\"port\":2",
                  "\"host\":\"db\",\"port\":2,\"user\":\"u\"" },
                { "\"host\":\"db\",\"port\":1,\"user\":\"u\"", "\"socket\":\"/s\"",
                  "\"socket\":\"/s\",\"user\":\"u\"" },
                { "\"socket\":\"/s\",\"user\":\"u\"", "\"host\":\"db\"", "\"host\":\"db\",\"user\":\"u\"" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_t *current = NULL, *body = NULL;
                char text[256];

                (void) snprintf(text, sizeof(text), "{\"source\":{\"databases\":[\"a\"],\"server\":{%s}}}",
                                cases[i].current);
                current = json_loads(text, 0, NULL);
                (void) snprintf(text, sizeof(text), "{\"source\":{\"server\":{%s}}}", cases[i].change);
                body = json_loads(text, 0, NULL);
                CHECK_OK(body_merge(current, body));
                (void) snprintf(text, sizeof(text), "{\"source\":{\"databases\":[\"a\"],\"server\":{%s}}}",
                                cases[i].expected);
                check_json(body, text);
        }
}

static void test_hooks(void) {
        static const char *const words[] = {
                "tasks",
                "edit",
                "etc",
                "--pre-hook",
                "freeze",
                "--post-hook",
                "thaw",
                "--post-hook",
                "mail",
                "--hook-timeout",
                "5",
                "--hook-failure",
                "warn",
                NULL,
        };
        static const char *const none[] = { "tasks", "edit", "etc", "--no-hooks", NULL };
        _cleanup_json_ json_t *body = json_object(), *cleared = json_object();
        _cleanup_(cli_done) Cli c = CLI_NULL;

        CHECK_OK(from_options(words, &c, body));
        check_json(body, "{\"hooks\":{\"on_failure\":\"warn\",\"post\":[\"thaw\",\"mail\"],"
                         "\"pre\":[\"freeze\"],\"timeout_s\":5}}");
        CHECK_OK(from_options(none, &c, cleared));
        check_json(cleared, "{\"hooks\":null}");
}

/* What is taken away, and what is switched off within a schedule. */
static void test_nothing_any_more(void) {
        static const struct {
                const char *words[6], *expected;
        } cases[] = {
                { { "tasks", "edit", "shop", "--no-secrets", NULL }, "{\"secrets\":{}}" },
                { { "tasks", "test", "shop", "--no-secrets", NULL }, "{\"secrets\":{}}" },
                { { "targets", "edit", "nas", "--no-secrets", NULL }, "{\"secrets\":{}}" },
                { { "tasks", "create", "etc", "--no-verify-catch-up", NULL },
                  "{\"verify\":{\"schedule\":{\"catch_up\":false}}}" },
                { { "tasks", "edit", "etc", "--verify-catch-up", NULL },
                  "{\"verify\":{\"schedule\":{\"catch_up\":true}}}" },
        };
        _cleanup_json_ json_t *shown = json_pack("{s:[s]}", "secrets", "password"), *change = json_object();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_t *body = json_object();
                _cleanup_(cli_done) Cli c = CLI_NULL;

                CHECK_OK(from_options(cases[i].words, &c, body));
                check_json(body, cases[i].expected);
        }
        CHECK_OK(body_set(change, "secrets", json_object()));
        CHECK_OK(body_merge(shown, change));
        check_json(change, "{\"secrets\":{}}");
}

static void test_wrong_values(void) {
        static const char *const cases[][6] = {
                { "tasks", "create", "a", "--level", "high", NULL },
                { "targets", "create", "a", "--config", "novalue", NULL },
                { "targets", "create", "a", "--secret", "key=/nowhere/at/all", NULL },
                { "tasks", "create", "a", "--node", "99999999999999999999", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_t *body = json_object();
                _cleanup_(cli_done) Cli c = CLI_NULL;

                CHECK(from_options(cases[i], &c, body) < 0);
                CHECK(c.failure.message && c.failure.message[0]);
        }
}

static void test_secret(void) {
        _cleanup_json_ json_t *body = json_object();
        _cleanup_(cli_done) Cli c = CLI_NULL;
        _cleanup_(freep) char *word = NULL;
        char path[] = "/tmp/test-body-XXXXXX";
        _cleanup_close_ int fd = mkstemp(path);

        CHECK(fd >= 0);
        CHECK_OK(write_full(fd, "s3cret\n", 7));
        CHECK_OK(asprintf_safe(&word, "key=%s", path));
        CHECK_OK(from_options((const char *const[]){ "targets", "create", "a", "--secret", word, NULL }, &c,
                              body));
        check_json(body, "{\"secrets\":{\"key\":\"s3cret\"}}");
        CHECK(unlink(path) == 0);
}

static int from_yaml(const char *yaml, Cli *c, json_t *body) {
        char path[] = "/tmp/test-body-XXXXXX";
        _cleanup_close_ int fd = mkstemp(path);
        int r;

        CHECK(fd >= 0);
        CHECK_OK(write_full(fd, yaml, strlen(yaml)));
        r = body_from_yaml(c, path, body);
        CHECK(unlink(path) == 0);
        return r;
}

static void test_yaml(void) {
        static const char yaml[] = "name: etc\nnode: 4\ntargets: [2, 3]\nencryption: sealed\nsource:\n"
                                   "  paths: [/etc, /srv]\n  excludes: ['*.tmp']\n  one_file_system: yes\n"
                                   "compression:\n  level: 5\nschedule:\n  expression: 'Mon..Fri 02:30'\n"
                                   "  timezone: Europe/Berlin\n  catch_up: no\n";
        _cleanup_json_ json_t *body = json_object();
        _cleanup_(cli_done) Cli c = CLI_NULL;

        CHECK_OK(from_yaml(yaml, &c, body));
        check_json(body,
                   "{\"compression\":{\"level\":5},\"encryption\":\"sealed\",\"name\":\"etc\",\"node_id\":4,"
                   "\"schedule\":{\"catch_up\":false,\"expression\":\"Mon..Fri 02:30\","
                   "\"timezone\":\"Europe/Berlin\"},\"source\":{\"excludes\":[\"*.tmp\"],"
                   "\"one_file_system\":true,\"paths\":[\"/etc\",\"/srv\"]},\"target_ids\":[2,3]}");
}

/* What is in a file stands in the body where it stands in the file. */
static void test_yaml_of_everything(void) {
        static const struct {
                const char *yaml, *expected;
        } cases[] = {
                { "node_label: db\nformat: repository\nenabled: no\nverify:\n  shares: 7\n  schedule:\n"
                  "    expression: '@daily'\n    timezone: UTC\n    catch_up: no\n"
                  "retention: {last: 3, hourly: 1, daily: 7, weekly: 4,\n"
                  "            monthly: 12, yearly: 5, within: 30d}\n"
                  "hooks: {pre: [freeze], post: [thaw, mail], timeout_s: 5, on_failure: warn}\n",
                  "{\"enabled\":false,\"format\":\"repository\",\"hooks\":{\"on_failure\":\"warn\",\"post\":"
                  "[\"thaw\",\"mail\"],\"pre\":[\"freeze\"],\"timeout_s\":5},\"node_label\":\"db\","
                  "\"retention\":{\"daily\":7,\"hourly\":1,\"last\":3,\"monthly\":12,\"weekly\":4,"
                  "\"within\":\"30d\",\"yearly\":5},\"verify\":{\"schedule\":{\"catch_up\":false,"
                  "\"expression\":\"@daily\",\"timezone\":\"UTC\"},\"shares\":7}}" },
                { "type: mysql\nsource:\n  databases: [shop, 'crm_*']\n  exclude: '*_test'\n"
                  "  one_snapshot: yes\n  server:\n    host: db\n    port: 3307\n    user: b\n"
                  "    tls: verify\n    tls_ca: /ca\n",
                  "{\"source\":{\"databases\":[\"shop\",\"crm_*\"],\"exclude\":[\"*_test\"],"
                  "\"one_snapshot\":true,\"server\":{\"host\":\"db\",\"port\":3307,\"tls\":\"verify\","
                  "\"tls_ca\":\"/ca\",\"user\":\"b\"}},\"type\":\"mysql\"}" },
                { "source: {backup: data, level: full, via: file, directory: /d, channels: 8, retries: 0,\n"
                  "         server: {key: K, home: /h, database: HXE, instance: 0, socket: /s}}\n",
                  "{\"source\":{\"backup\":\"data\",\"channels\":8,\"directory\":\"/d\",\"level\":\"full\","
                  "\"retries\":0,\"server\":{\"database\":\"HXE\",\"home\":\"/h\",\"instance\":0,"
                  "\"key\":\"K\",\"socket\":\"/s\"},\"via\":\"file\"}}" },
                { "retention:\nsource:\n  server:\n  databases: []\ntargets: []\n",
                  "{\"source\":{\"databases\":[]},\"target_ids\":[]}" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_t *body = json_object();
                _cleanup_(cli_done) Cli c = CLI_NULL;

                CHECK_OK(from_yaml(cases[i].yaml, &c, body));
                check_json(body, cases[i].expected);
        }
}

/* What is not known is named: nobody believes that it counts. */
static void test_yaml_refused(void) {
        static const char *const cases[][2] = {
                { "name: a\npathes: [/etc]\n", "unknown key 'pathes'" },
                { "name: a\nsource:\n  path: /etc\n", "unknown key 'source.path'" },
                { "retention:\n  dayly: 7\n", "unknown key 'retention.dayly'" },
                { "verify:\n  expression: '@daily'\n", "unknown key 'verify.expression'" },
                { "source:\n  server:\n    hots: db\n", "unknown key 'source.server.hots'" },
                { "hook:\n  pre: [a]\n", "unknown section 'hook'" },
                { "source:\n  server: db\n", "'source.server' is a section" },
                { "retention:\n  last: some\n", "retention.last" },
                { "secrets:\n  password: tell-nobody\n", "--secret password=FILE" },
                { "secrets:\n  passwort: tell-nobody\n", "unknown key 'secrets.passwort'" },
                { "name: [a\n", "not valid YAML" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_t *body = json_object();
                _cleanup_(cli_done) Cli c = CLI_NULL;

                CHECK(from_yaml(cases[i][0], &c, body) < 0);
                CHECK(c.failure.message);
                if (!strstr(c.failure.message, cases[i][1]))
                        TEST_FAIL("'%s': the message is '%s'", cases[i][0], c.failure.message);
                CHECK(!strstr(c.failure.message, "tell-nobody"));
        }
}

int main(void) {
        RUN(test_set);
        RUN(test_options);
        RUN(test_databases);
        RUN(test_discovery);
        RUN(test_merge);
        RUN(test_merge_of_servers);
        RUN(test_hooks);
        RUN(test_nothing_any_more);
        RUN(test_wrong_values);
        RUN(test_secret);
        RUN(test_yaml);
        RUN(test_yaml_of_everything);
        RUN(test_yaml_refused);
        return 0;
}
