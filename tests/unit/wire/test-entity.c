/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/entity.h"

static json_t *parse(const char *text) {
        json_t *json = NULL;

        CHECK_OK(json_parse_text(text, &json, NULL));
        return json;
}

/* Parses a document over task; the field that is wrong, "" when none is. Freed by the next call: the caller
 * compares at once. */
static void check_task(const char *text, const char *code, const char *field) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = parse(text);
        _cleanup_(task_done) Task task = TASK_NULL;
        const json_t *secrets = NULL;
        int r;

        CHECK_OK(task_init(&task));
        r = task_from_json(json, &task, &secrets, &failure);
        if (code) {
                CHECK_INT(r, -EBADMSG);
                CHECK_STR(failure.code, code);
                CHECK_STR(failure.field ? failure.field : "(none)", field);
        } else
                CHECK_OK(r);
}

#define SOURCE "\"source\":{\"paths\":[\"/etc\"]}"
#define MINIMAL "\"name\":\"etc\"," SOURCE ",\"target_ids\":[1]"

static void test_task_fields(void) {
        static const struct {
                const char *text, *code, *field;
        } cases[] = {
                { "{" MINIMAL "}", NULL, NULL },
                { "{}", "FIELD_MISSING", "name" },
                { "[]", "FIELD_INVALID", "(none)" },
                { "{" MINIMAL ",\"colour\":1}", "FIELD_UNKNOWN", "colour" },
                { "{\"nmae\":\"x\"," SOURCE ",\"target_ids\":[1]}", "FIELD_UNKNOWN", "nmae" },
                { "{\"name\":\"x\",\"source\":{\"pathes\":[\"/etc\"]},\"target_ids\":[1]}", "FIELD_UNKNOWN",
                  "source.pathes" },
                { "{\"name\":\"x\",\"source\":{\"paths\":[]},\"target_ids\":[1]}", "FIELD_INVALID",
                  "source.paths" },
                { "{\"name\":\"x\",\"source\":{\"paths\":[\"etc\"]},\"target_ids\":[1]}", "FIELD_INVALID",
                  "source.paths[0]" },
                { "{\"name\":\"x\",\"source\":{\"paths\":[\"/a/../b\"]},\"target_ids\":[1]}",
                  "FIELD_INVALID", "source.paths[0]" },
                { "{\"name\":\"x\",\"source\":{\"paths\":[\"/a\",\"/a\"]},\"target_ids\":[1]}",
                  "FIELD_INVALID", "source.paths[1]" },
                { "{\"name\":\"x\"," SOURCE "}", "FIELD_MISSING", "target_ids" },
                { "{\"name\":\"x\"," SOURCE ",\"target_ids\":[]}", "FIELD_INVALID", "target_ids" },
                { "{\"name\":\"x\"," SOURCE ",\"target_ids\":[1,1]}", "FIELD_INVALID", "target_ids" },
                { "{\"name\":\"x\"," SOURCE ",\"target_ids\":[0]}", "FIELD_INVALID", "target_ids" },
                { "{\"name\":\"x\"," SOURCE ",\"target_ids\":[\"1\"]}", "FIELD_INVALID", "target_ids" },
                { "{\"name\":\"a/b\"," SOURCE ",\"target_ids\":[1]}", "FIELD_INVALID", "name" },
                { "{\"name\":\"..\"," SOURCE ",\"target_ids\":[1]}", "FIELD_INVALID", "name" },
                { "{" MINIMAL ",\"type\":\"oracle\"}", "FIELD_INVALID", "type" },
                { "{" MINIMAL ",\"format\":\"zip\"}", "FIELD_INVALID", "format" },
                { "{" MINIMAL ",\"encryption\":true}", "FIELD_INVALID", "encryption" },
                { "{" MINIMAL ",\"compression\":{\"level\":0}}", "FIELD_INVALID", "compression.level" },
                { "{" MINIMAL ",\"compression\":{\"level\":20}}", "FIELD_INVALID", "compression.level" },
                { "{" MINIMAL ",\"compression\":{\"algorithm\":\"xz\"}}", "FIELD_INVALID",
                  "compression.algorithm" },
                { "{" MINIMAL ",\"schedule\":{\"expression\":\"0 25 * * *\"}}", "FIELD_INVALID",
                  "schedule.expression" },
                { "{" MINIMAL ",\"schedule\":{\"expression\":\"@daily\",\"timezone\":\"Mars/Base\"}}",
                  "FIELD_INVALID", "schedule.timezone" },
                { "{" MINIMAL ",\"schedule\":{\"expression\":\"2001-01-01\"}}", "FIELD_INVALID",
                  "schedule.expression" },
                { "{" MINIMAL ",\"schedule\":{}}", "FIELD_MISSING", "schedule.expression" },
                { "{" MINIMAL ",\"schedule\":null}", NULL, NULL },
                { "{" MINIMAL ",\"verify\":null}", NULL, NULL },
                { "{" MINIMAL ",\"verify\":{\"schedule\":{\"expression\":\"@daily\"},\"shares\":7}}", NULL,
                  NULL },
                { "{" MINIMAL ",\"verify\":{}}", "FIELD_MISSING", "verify.schedule" },
                { "{" MINIMAL ",\"verify\":{\"schedule\":{}}}", "FIELD_MISSING",
                  "verify.schedule.expression" },
                { "{" MINIMAL ",\"verify\":{\"schedule\":{\"expression\":\"0 25 * * *\"}}}",
                  "FIELD_INVALID", "verify.schedule.expression" },
                { "{" MINIMAL ",\"verify\":{\"schedule\":{\"expression\":\"@daily\"},\"shares\":1001}}",
                  "FIELD_INVALID", "verify.shares" },
                { "{" MINIMAL ",\"verify\":{\"schedule\":{\"expression\":\"@daily\"},\"share\":1}}",
                  "FIELD_UNKNOWN", "verify.share" },
                { "{" MINIMAL ",\"verify\":{\"schedule\":{\"expression\":\"@daily\"}},\"format\":"
                  "\"archive\"}",
                  "FIELD_INVALID", "verify" },
                { "{" MINIMAL ",\"retention\":null}", NULL, NULL },
                { "{" MINIMAL ",\"retention\":{\"last\":3}}", NULL, NULL },
                { "{" MINIMAL ",\"retention\":{}}", "FIELD_INVALID", "retention" },
                { "{" MINIMAL ",\"retention\":{\"last\":-3}}", "FIELD_INVALID", "retention.last" },
                { "{" MINIMAL ",\"retention\":{\"within\":\"1w\"}}", "FIELD_INVALID", "retention.within" },
                { "{" MINIMAL ",\"retention\":{\"last\":3},\"format\":\"archive\"}", "FIELD_INVALID",
                  "retention" },
                { "{" MINIMAL ",\"hooks\":null}", NULL, NULL },
                { "{" MINIMAL ",\"hooks\":{}}", NULL, NULL },
                { "{" MINIMAL ",\"hooks\":{\"pre\":[\"a-1\",\"b.sh\"]}}", NULL, NULL },
                { "{" MINIMAL ",\"hooks\":{\"pre\":[\"a\",\"../b\"]}}", "FIELD_INVALID", "hooks.pre[1]" },
                { "{" MINIMAL ",\"hooks\":{\"post\":[\".b\"]}}", "FIELD_INVALID", "hooks.post[0]" },
                { "{" MINIMAL ",\"hooks\":{\"post\":[\"a b\"]}}", "FIELD_INVALID", "hooks.post[0]" },
                { "{" MINIMAL ",\"hooks\":{\"timeout_s\":0}}", "FIELD_INVALID", "hooks.timeout_s" },
                { "{" MINIMAL ",\"hooks\":{\"timeout_s\":3601}}", "FIELD_INVALID", "hooks.timeout_s" },
                { "{" MINIMAL ",\"hooks\":{\"on_failure\":\"ask\"}}", "FIELD_INVALID", "hooks.on_failure" },
                { "{" MINIMAL ",\"hooks\":{\"command\":\"rm\"}}", "FIELD_UNKNOWN", "hooks.command" },
                { "{" MINIMAL ",\"hooks\":[\"a\"]}", "FIELD_INVALID", "hooks" },
                { "{" MINIMAL ",\"node_id\":0}", NULL, NULL },
                { "{" MINIMAL ",\"node_id\":-1}", "FIELD_INVALID", "node_id" },
                { "{" MINIMAL ",\"id\":3}", "FIELD_UNKNOWN", "id" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_task(cases[i].text, cases[i].code, cases[i].field);
}

static void test_task_defaults_and_changes(void) {
        _cleanup_json_ json_t *first =
                        parse("{" MINIMAL ",\"schedule\":{\"expression\":\"@daily\",\"catch_up\":false}}");
        _cleanup_json_ json_t *second = parse("{\"enabled\":false}");
        _cleanup_json_ json_t *third = parse("{\"schedule\":null,\"target_ids\":[3,2]}");
        _cleanup_json_ json_t *keep = parse("{\"retention\":{\"within\":\"30d\",\"last\":7,\"daily\":0}}");
        _cleanup_json_ json_t *keep_all = parse("{\"retention\":null}");
        _cleanup_(task_done) Task task = TASK_NULL;
        const json_t *secrets = NULL;

        CHECK_OK(task_init(&task));
        CHECK_OK(task_from_json(first, &task, &secrets, NULL));
        CHECK_STR(task.name, "etc");
        CHECK_INT(task.node_id, NODE_LOCAL);
        CHECK_STR(task.encryption, "none");
        CHECK_STR(task.compression, "{\"algorithm\":\"zstd\",\"level\":3}");
        CHECK_STR(task.source,
                  "{\"paths\":[\"/etc\"],\"excludes\":[],\"one_file_system\":false,"
                  "\"follow_symlinks\":false}");
        CHECK(task.enabled && !task.schedule_catch_up);
        CHECK_OK(task_from_json(second, &task, &secrets, NULL));
        CHECK(!task.enabled);
        CHECK_STR(task.schedule_expression, "@daily");
        CHECK_INT(task.n_targets, 1);
        CHECK_OK(task_from_json(third, &task, &secrets, NULL));
        CHECK(!task.schedule_expression);
        CHECK_INT(task.n_targets, 2);
        CHECK_INT(task.target_ids[0], 3);
        CHECK_OK(task_from_json(keep, &task, &secrets, NULL));
        CHECK_STR(task.retention, "{\"last\":7,\"within\":\"30d\"}");
        CHECK_OK(task_from_json(second, &task, &secrets, NULL));
        CHECK(task.retention);
        CHECK_OK(task_from_json(keep_all, &task, &secrets, NULL));
        CHECK(!task.retention);
}

static void test_task_verify(void) {
        _cleanup_json_ json_t *first =
                        parse("{" MINIMAL ",\"verify\":{\"schedule\":{\"expression\":\"@daily\","
                              "\"catch_up\":false},\"shares\":7}}");
        _cleanup_json_ json_t *second = parse("{\"enabled\":false}");
        _cleanup_json_ json_t *third = parse("{\"verify\":{\"schedule\":{\"expression\":\"@weekly\"}}}");
        _cleanup_json_ json_t *none = parse("{\"verify\":null}");
        _cleanup_json_ json_t *shown = NULL, *cleared = NULL;
        const Schedule at = { .kind = SCHEDULE_VERIFY, .next = USEC_PER_DAY, .error = (char *) "broken" };
        _cleanup_(task_done) Task task = TASK_NULL;
        const json_t *secrets = NULL;

        CHECK_OK(task_init(&task));
        CHECK_OK(task_from_json(first, &task, &secrets, NULL));
        CHECK_OK(task_from_json(second, &task, &secrets, NULL));
        CHECK_STR(task.verify_expression, "@daily");
        CHECK(!task.verify_catch_up && !task.schedule_expression && task.schedule_catch_up);
        CHECK_INT(task.verify_shares, 7);
        shown = task_to_json(&task, NULL, &at, NULL);
        CHECK_INT(json_integer_value(json_object_get(json_object_get(shown, "verify"), "shares")), 7);
        CHECK(json_is_string(json_object_get(shown, "next_verify_at")));
        CHECK_STR(json_string_value(json_object_get(shown, "verify_error")), "broken");
        CHECK(json_is_null(json_object_get(shown, "next_run_at")));
        CHECK_OK(task_from_json(third, &task, &secrets, NULL));
        CHECK_STR(task.verify_expression, "@weekly");
        CHECK(task.verify_catch_up);
        CHECK_INT(task.verify_shares, 0); /* the whole of it was named anew */
        CHECK_OK(task_from_json(none, &task, &secrets, NULL));
        CHECK(!task.verify_expression);
        cleared = task_to_json(&task, NULL, NULL, NULL);
        CHECK(json_is_null(json_object_get(cleared, "verify")));
}

static void test_task_hooks(void) {
        _cleanup_json_ json_t *first = parse("{" MINIMAL ",\"hooks\":{\"pre\":[\"a\"],"
                                             "\"on_failure\":\"warn\"}}");
        _cleanup_json_ json_t *second = parse("{\"enabled\":false}");
        _cleanup_json_ json_t *third = parse("{\"hooks\":{\"post\":[\"b\"],\"timeout_s\":5}}");
        _cleanup_json_ json_t *none = parse("{\"hooks\":{\"pre\":[]}}");
        _cleanup_json_ json_t *shown = NULL;
        _cleanup_(task_done) Task task = TASK_NULL;
        const json_t *secrets = NULL;

        CHECK_OK(task_init(&task));
        CHECK_OK(task_from_json(first, &task, &secrets, NULL));
        CHECK_OK(task_from_json(second, &task, &secrets, NULL));
        CHECK_STR(task.options, "{\"hooks\":{\"pre\":[\"a\"],\"post\":[],\"timeout_s\":60,"
                                "\"on_failure\":\"warn\"}}");
        CHECK_OK(task_from_json(third, &task, &secrets, NULL));
        CHECK_STR(task.options, "{\"hooks\":{\"pre\":[],\"post\":[\"b\"],\"timeout_s\":5,"
                                "\"on_failure\":\"fail\"}}");
        shown = task_to_json(&task, NULL, NULL, NULL);
        CHECK_INT(json_integer_value(json_object_get(json_object_get(shown, "hooks"), "timeout_s")), 5);
        CHECK_OK(task_from_json(none, &task, &secrets, NULL));
        CHECK(!task.options);
}

/* A source is of its type. */
static void test_task_type(void) {
        _cleanup_json_ json_t *first = parse("{\"name\":\"x\",\"type\":\"sqlite\",\"source\":{\"paths\":"
                                             "[\"/srv/*/x.db\"]},\"target_ids\":[1]}");
        _cleanup_json_ json_t *files = parse("{\"type\":\"file\"}");
        _cleanup_json_ json_t *both = parse("{\"type\":\"file\",\"source\":{\"paths\":[\"/etc\"]}}");
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(task_done) Task task = TASK_NULL;
        const json_t *secrets = NULL;

        CHECK_OK(task_init(&task));
        CHECK_OK(task_from_json(first, &task, &secrets, NULL));
        CHECK_STR(task.type, "sqlite");
        CHECK_STR(task.source, "{\"paths\":[\"/srv/*/x.db\"]}");
        CHECK_INT(task_from_json(files, &task, &secrets, &failure), -EBADMSG);
        CHECK_STR(failure.field, "source");
        CHECK_OK(task_from_json(both, &task, &secrets, NULL));
        CHECK_STR(task.type, "file");
}

/* One snapshot of all databases is asked for of the servers that have one. */
static void test_task_one_snapshot(void) {
        static const struct {
                const char *type, *value, *field;
        } table[] = {
                { "mysql", "true", NULL },
                { "mysql", "7", "source.one_snapshot" },
                { "postgresql", "true", "source.one_snapshot" },
                { "sqlite", "true", "source.one_snapshot" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_t *json = parse("{\"name\":\"x\",\"target_ids\":[1]}");
                bool files = streq(table[i].type, "sqlite");
                json_t *source = parse(files ? "{\"paths\":[\"/a.db\"]}" :
                                               "{\"server\":{\"user\":\"b\",\"host\":\"db\"}}");
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_(task_done) Task task = TASK_NULL;
                const json_t *secrets = NULL;

                CHECK_OK(json_set(source, "one_snapshot", parse(table[i].value)));
                CHECK_OK(json_set(json, "source", source));
                CHECK_OK(json_set(json, "type", json_string(table[i].type)));
                CHECK_OK(task_init(&task));
                CHECK_INT(task_from_json(json, &task, &secrets, &failure), table[i].field ? -EBADMSG : 0);
                if (table[i].field)
                        CHECK_STR(failure.field, table[i].field);
                else
                        CHECK(strstr(task.source, "\"one_snapshot\":true"));
        }
}

/* Bytes that are no text come through as they went in. */
static void test_task_paths(void) {
        _cleanup_json_ json_t *json = parse(
                        "{\"name\":\"x\",\"source\":{\"paths\":[{\"base64\":\"L//+\"}]},"
                        "\"target_ids\":[1]}");
        _cleanup_json_ json_t *shown = NULL;
        _cleanup_(task_done) Task task = TASK_NULL;
        const json_t *secrets = NULL;
        json_t *path;

        CHECK_OK(task_init(&task));
        CHECK_OK(task_from_json(json, &task, &secrets, NULL));
        shown = task_to_json(&task, NULL, NULL, NULL);
        CHECK(shown);
        path = json_array_get(json_object_get(json_object_get(shown, "source"), "paths"), 0);
        CHECK_STR(json_string_value(json_object_get(path, "base64")), "L//+");
}

static void check_target(const char *text, const char *field) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = parse(text);
        _cleanup_(target_done) Target target = TARGET_NULL;
        const json_t *secrets = NULL;
        int r;

        r = target_from_json(json, &target, &secrets, &failure);
        if (field) {
                CHECK_INT(r, -EBADMSG);
                CHECK_STR(failure.field, field);
        } else
                CHECK_OK(r);
}

static void test_targets(void) {
        check_target("{\"name\":\"d\",\"type\":\"local\",\"config\":{\"path\":\"/srv\"}}", NULL);
        check_target("{\"name\":\"d\",\"type\":\"relay\"}", NULL);
        check_target("{\"name\":\"d\",\"type\":\"relay\",\"config\":{\"directory\":\"/srv/r\"}}", NULL);
        check_target("{\"name\":\"d\",\"type\":\"local\"}", "config");
        check_target("{\"name\":\"d\",\"type\":\"local\",\"config\":{}}", "config.path");
        check_target("{\"name\":\"d\",\"type\":\"local\",\"config\":{\"path\":\"/\"}}", "config.path");
        check_target("{\"name\":\"d\",\"type\":\"local\",\"config\":{\"path\":\"srv\"}}", "config.path");
        check_target("{\"name\":\"d\",\"type\":\"local\",\"config\":{\"path\":\"/srv\",\"x\":1}}",
                     "config.x");
        check_target("{\"name\":\"d\",\"type\":\"floppy\",\"config\":{}}", "type");
        check_target("{\"name\":\"d\",\"typ\":\"local\",\"config\":{}}", "typ");
        check_target("{\"name\":\"d\",\"type\":\"relay\",\"secrets\":{\"a b\":\"x\"}}", "secrets");
        check_target("{\"name\":\"d\",\"type\":\"relay\",\"secrets\":{\"a\":1}}", "secrets");
        check_target("{\"name\":\"d\",\"type\":\"relay\",\"secrets\":[]}", "secrets");
}

#define SFTP_BASE "\"name\":\"d\",\"type\":\"sftp\","
#define SFTP_HOST "\"host\":\"nas.example.com\",\"user\":\"u\",\"path\":\"backups/x\""
#define SFTP_PASSWORD ",\"secrets\":{\"password\":\"p\"}"

#define SFTP(config, rest) "{" SFTP_BASE "\"config\":{" config "}" rest "}"

static void test_sftp(void) {
        static const struct {
                const char *text, *field;
        } cases[] = {
                { SFTP(SFTP_HOST, SFTP_PASSWORD), NULL },
                { SFTP(SFTP_HOST ",\"port\":\"2222\",\"read_back\":\"yes\"", SFTP_PASSWORD),
                  NULL },
                { SFTP(SFTP_HOST ",\"agent\":\"/run/agent\"", ""), NULL },
                { SFTP(SFTP_HOST, ""), "secrets" },
                { SFTP(SFTP_HOST "},\"secrets\":{\"passphrase\":\"p\"", ""), "secrets" },
                { SFTP(SFTP_HOST "},\"secrets\":{\"pasword\":\"p\"", ""), "secrets" },
                { SFTP("\"user\":\"u\",\"path\":\"b\"", SFTP_PASSWORD), "config.host" },
                { SFTP("\"host\":\"a b\",\"user\":\"u\",\"path\":\"b\"", SFTP_PASSWORD),
                  "config.host" },
                { SFTP("\"host\":\"h\",\"user\":\"u\\n\",\"path\":\"b\"", SFTP_PASSWORD),
                  "config.user" },
                { SFTP("\"host\":\"h\",\"user\":\"u\",\"path\":\"b/../c\"", SFTP_PASSWORD),
                  "config.path" },
                { SFTP(SFTP_HOST ",\"port\":0", SFTP_PASSWORD), "config.port" },
                { SFTP(SFTP_HOST ",\"port\":65536", SFTP_PASSWORD), "config.port" },
                { SFTP(SFTP_HOST ",\"port\":\"ssh\"", SFTP_PASSWORD), "config.port" },
                { SFTP(SFTP_HOST ",\"read_back\":7", SFTP_PASSWORD),
                  "config.read_back" },
                { SFTP(SFTP_HOST ",\"host_key\":\"MD5:ab\"", SFTP_PASSWORD),
                  "config.host_key" },
                { SFTP(SFTP_HOST ",\"agent\":\"agent\"", ""), "config.agent" },
                { SFTP(SFTP_HOST ",\"hots\":\"h\"", SFTP_PASSWORD), "config.hots" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_target(cases[i].text, cases[i].field);
}

#define AZURE(config, rest) "{\"name\":\"d\",\"type\":\"azure\",\"config\":{" config "}" rest "}"
#define AZURE_PLACE "\"account\":\"acme1\",\"container\":\"backups\""
#define AZURE_KEY ",\"secrets\":{\"account_key\":\"QUJD\"}"
#define AZURE_TOKEN ",\"secrets\":{\"sas_token\":\"sv=1&sig=x\"}"

static void test_azure(void) {
        static const struct {
                const char *text, *field;
        } cases[] = {
                { AZURE(AZURE_PLACE, AZURE_KEY), NULL },
                { AZURE(AZURE_PLACE ",\"prefix\":\"a/b\",\"block_size\":\"8\",\"tier\":\"Cool\"",
                        AZURE_TOKEN),
                  NULL },
                { AZURE(AZURE_PLACE ",\"endpoint\":\"http://127.0.0.1:10000/acme1\"", AZURE_KEY), NULL },
                { AZURE(AZURE_PLACE ",\"endpoint\":\"http://127.0.0.1:10000/acme1\"", AZURE_TOKEN),
                  "config.endpoint" },
                { AZURE(AZURE_PLACE ",\"endpoint\":\"acme1.blob.core.windows.net\"", AZURE_KEY),
                  "config.endpoint" },
                { AZURE("\"container\":\"b\"", AZURE_KEY), "config.account" },
                { AZURE("\"account\":\"a.b\",\"container\":\"b\"", AZURE_KEY), "config.account" },
                { AZURE("\"account\":\"a\"", AZURE_KEY), "config.container" },
                { AZURE("\"account\":\"a\",\"container\":\"B/c\"", AZURE_KEY), "config.container" },
                { AZURE(AZURE_PLACE ",\"block_size\":64", AZURE_KEY), "config.block_size" },
                { AZURE(AZURE_PLACE ",\"tier\":\"Archive\"", AZURE_KEY), "config.tier" },
                { AZURE(AZURE_PLACE ",\"prefix\":\"/a\"", AZURE_KEY), "config.prefix" },
                { AZURE(AZURE_PLACE, ""), "secrets" },
                { AZURE(AZURE_PLACE, ",\"secrets\":{\"account_key\":\"QUJD\",\"sas_token\":\"x\"}"),
                  "secrets" },
                { AZURE(AZURE_PLACE, SFTP_PASSWORD), "secrets" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_target(cases[i].text, cases[i].field);
}

#define FTP(config, rest) "{\"name\":\"d\",\"type\":\"ftp\",\"config\":{" config "}" rest "}"

static void test_ftp(void) {
        static const struct {
                const char *text, *field;
        } cases[] = {
                { FTP(SFTP_HOST, SFTP_PASSWORD), NULL },
                { FTP(SFTP_HOST ",\"tls\":\"implicit\",\"port\":\"990\",\"ca_cert\":\"/etc/ca.pem\"",
                      SFTP_PASSWORD),
                  NULL },
                { FTP(SFTP_HOST ",\"tls\":\"none\",\"read_back\":true", SFTP_PASSWORD), NULL },
                { FTP(SFTP_HOST ",\"tls\":\"none\",\"ca_cert\":\"/etc/ca.pem\"", SFTP_PASSWORD),
                  "config.tls" },
                { FTP(SFTP_HOST ",\"tls\":\"maybe\"", SFTP_PASSWORD), "config.tls" },
                { FTP(SFTP_HOST ",\"tls\":false", SFTP_PASSWORD), "config.tls" },
                { FTP(SFTP_HOST ",\"pin\":\"sha256//x\"", SFTP_PASSWORD), "config.pin" },
                { FTP(SFTP_HOST ",\"port\":0", SFTP_PASSWORD), "config.port" },
                { FTP("\"host\":\"ftp://h\",\"user\":\"u\",\"path\":\"b\"", SFTP_PASSWORD),
                  "config.host" },
                { FTP("\"host\":\"h\",\"user\":\"u\\r\\nDELE x\",\"path\":\"b\"", SFTP_PASSWORD),
                  "config.user" },
                { FTP("\"host\":\"h\",\"user\":\"u\",\"path\":\"a\\nb\"", SFTP_PASSWORD),
                  "config.path" },
                { FTP(SFTP_HOST, ""), "secrets" },
                { FTP(SFTP_HOST, ",\"secrets\":{\"token\":\"t\"}"), "secrets" },
                { FTP(SFTP_HOST, ",\"secrets\":{\"password\":\"a\\r\\nDELE x\"}"), "secrets" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_target(cases[i].text, cases[i].field);
}

#define S3_BUCKET "\"bucket\":\"b\",\"access_key\":\"AK\""
#define S3_REGION "\"preset\":\"aws\",\"region\":\"eu-west-1\""
#define S3_AWS S3_REGION "," S3_BUCKET
#define S3_SECRET ",\"secrets\":{\"secret_key\":\"s\"}"
#define S3(config, rest) "{\"name\":\"d\",\"type\":\"s3\",\"config\":{" config "}" rest "}"

static void test_s3(void) {
        static const struct {
                const char *text, *field;
        } cases[] = {
                { S3(S3_AWS, S3_SECRET), NULL },
                { S3(S3_AWS ",\"part_size\":\"8\",\"path_style\":true,\"prefix\":\"a/b\"", S3_SECRET),
                  NULL },
                { S3("\"preset\":\"r2\",\"account\":\"0a1b\"," S3_BUCKET, S3_SECRET), NULL },
                { S3("\"endpoint\":\"https://s3.example.com:9000/\"," S3_BUCKET, S3_SECRET), NULL },
                { S3(S3_AWS ",\"lock_mode\":\"COMPLIANCE\",\"lock_days\":30", S3_SECRET), NULL },
                { S3("\"preset\":\"aws\"," S3_BUCKET, S3_SECRET), "config.region" },
                { S3("\"preset\":\"minio\"," S3_BUCKET, S3_SECRET), "config.endpoint" },
                { S3(S3_BUCKET, S3_SECRET), "config.endpoint" },
                { S3("\"preset\":\"r2\"," S3_BUCKET, S3_SECRET), "config.account" },
                { S3("\"preset\":\"floppy\"," S3_BUCKET, S3_SECRET), "config.preset" },
                { S3("\"endpoint\":\"https://h/bucket\"," S3_BUCKET, S3_SECRET), "config.endpoint" },
                { S3("\"endpoint\":\"ftp://h\"," S3_BUCKET, S3_SECRET), "config.endpoint" },
                { S3(S3_REGION ",\"access_key\":\"a\"", S3_SECRET), "config.bucket" },
                { S3(S3_REGION ",\"bucket\":\"b/c\",\"access_key\":\"a\"", S3_SECRET), "config.bucket" },
                { S3(S3_REGION ",\"bucket\":\"b\"", S3_SECRET), "config.access_key" },
                { S3(S3_AWS ",\"part_size\":4", S3_SECRET), "config.part_size" },
                { S3(S3_AWS ",\"volume_size\":1024", S3_SECRET), NULL },
                { S3(S3_AWS ",\"volume_size\":7", S3_SECRET), "config.volume_size" },
                { S3(S3_AWS ",\"prefix\":\"/a\"", S3_SECRET), "config.prefix" },
                { S3(S3_AWS ",\"prefix\":\"a/../b\"", S3_SECRET), "config.prefix" },
                { S3(S3_AWS ",\"lock_days\":30", S3_SECRET), "config.lock_days" },
                { S3(S3_AWS ",\"sse_key_id\":\"k\"", S3_SECRET), "config.sse_key_id" },
                { S3(S3_AWS ",\"sse\":\"rot13\"", S3_SECRET), "config.sse" },
                { S3(S3_AWS ",\"secret_key\":\"s\"", S3_SECRET), "config.secret_key" },
                { S3(S3_AWS, ""), "secrets" },
                { S3(S3_AWS, ",\"secrets\":{\"password\":\"s\"}"), "secrets" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_target(cases[i].text, cases[i].field);
}

#define DAV(config, rest) "{\"name\":\"d\",\"type\":\"webdav\",\"config\":{" config "}" rest "}"
#define DAV_USER "\"url\":\"https://cloud.example.com/dav\",\"user\":\"u\""

static void test_webdav(void) {
        static const struct {
                const char *text, *field;
        } cases[] = {
                { DAV(DAV_USER, SFTP_PASSWORD), NULL },
                { DAV("\"url\":\"https://h/\"", ",\"secrets\":{\"token\":\"t\"}"), NULL },
                { DAV("\"url\":\"http://h\"", ""), NULL },
                { DAV("", SFTP_PASSWORD), "config.url" },
                { DAV("\"url\":\"ftp://h/\"", ""), "config.url" },
                { DAV("\"url\":\"https:///x\"", ""), "config.url" },
                { DAV("\"url\":\"https://u:p@h/x\"", ""), "config.url" },
                { DAV("\"url\":\"https://h/x?y\"", ""), "config.url" },
                { DAV("\"url\":\"https://h/a b\"", ""), "config.url" },
                { DAV(DAV_USER, ""), "secrets" },
                { DAV("\"url\":\"https://h/\"", SFTP_PASSWORD), "config" },
                { DAV(DAV_USER, ",\"secrets\":{\"token\":\"t\",\"password\":\"p\"}"), "secrets" },
                { DAV(DAV_USER ",\"ca_cert\":\"ca.pem\"", SFTP_PASSWORD), "config.ca_cert" },
                { DAV(DAV_USER ",\"pin\":\"sha256//x\"", SFTP_PASSWORD), "config.pin" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_target(cases[i].text, cases[i].field);
}

/* Of a change only what it names is asked for; another type begins anew. */
static void test_target_changes(void) {
        static const char host_key[] = "SHA256:2bJ3YBQSE0gLGirbESAQCAR00Ki4iRl7jpVorbVwnqs";
        _cleanup_json_ json_t *first = parse("{" SFTP_BASE "\"config\":{" SFTP_HOST "}" SFTP_PASSWORD "}");
        _cleanup_json_ json_t *name = parse("{\"name\":\"e\"}");
        _cleanup_json_ json_t *config = parse("{\"config\":{" SFTP_HOST ",\"port\":\"22\"}}");
        _cleanup_json_ json_t *local = parse("{\"type\":\"local\"}");
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(target_done) Target target = TARGET_NULL;
        const json_t *secrets = NULL;

        CHECK_OK(target_from_json(first, &target, &secrets, &failure));
        CHECK(secrets);
        CHECK_OK(target_from_json(name, &target, &secrets, &failure));
        CHECK(!secrets);
        CHECK_OK(json_object_set_new(json_object_get(config, "config"), "host_key", json_string(host_key)));
        CHECK_OK(target_from_json(config, &target, &secrets, &failure));
        CHECK_STR(target.config,
                  "{\"host\":\"nas.example.com\",\"port\":22,\"user\":\"u\",\"path\":\"backups/x\","
                  "\"host_key\":\"SHA256:2bJ3YBQSE0gLGirbESAQCAR00Ki4iRl7jpVorbVwnqs\"}");
        CHECK_INT(target_from_json(local, &target, &secrets, &failure), -EBADMSG);
        CHECK_STR(failure.field, "config");
}

static void check_restore(const char *text, const char *field, bool in_place, uint64_t node_id) {
        _cleanup_(restore_request_done) RestoreRequest request = RESTORE_REQUEST_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = parse(text);
        int r;

        r = restore_request_from_json(json, &request, &failure);
        if (field) {
                CHECK_INT(r, -EBADMSG);
                CHECK_STR(failure.field, field);
                return;
        }
        CHECK_OK(r);
        CHECK_INT(request.in_place, in_place);
        CHECK_INT(request.node_id, node_id);
        CHECK_STR(json_string_value(json_object_get(request.body, "conflict")), "fail");
}

/* In place only when that word is there. */
static void test_restores(void) {
        check_restore("{\"destination\":\"in_place\"}", NULL, true, 0);
        check_restore("{\"destination\":{\"path\":\"/r\"}}", NULL, false, NODE_LOCAL);
        check_restore("{\"destination\":{\"path\":\"/r\",\"node_id\":4},\"paths\":[\"/etc\"]}", NULL, false,
                      4);
        check_restore("{}", "destination", false, 0);
        check_restore("{\"destination\":null}", "destination", false, 0);
        check_restore("{\"destination\":\"inplace\"}", "destination", false, 0);
        check_restore("{\"destination\":{}}", "destination.path", false, 0);
        check_restore("{\"destination\":{\"path\":\"r\"}}", "destination.path", false, 0);
        check_restore("{\"destination\":\"in_place\",\"conflict\":\"ask\"}", "conflict", false, 0);
        check_restore("{\"destination\":\"in_place\",\"paths\":[\"etc\"]}", "paths", false, 0);
        check_restore("{\"destination\":\"in_place\",\"path\":[]}", "path", false, 0);
}

static void test_names(void) {
        CHECK(entity_name_is_valid("web-1"));
        CHECK(entity_name_is_valid("备份 任务"));
        CHECK(!entity_name_is_valid(""));
        CHECK(!entity_name_is_valid("."));
        CHECK(!entity_name_is_valid("-x"));
        CHECK(!entity_name_is_valid("a\nb"));
        CHECK(!entity_name_is_valid("a\\b"));
        CHECK(!entity_name_is_valid("a "));
        CHECK(!entity_name_is_valid("\xff"));
        CHECK(username_is_valid("a.b@c"));
        CHECK(!username_is_valid("-a"));
        CHECK(!username_is_valid("a b"));
        CHECK(!username_is_valid(""));
}

static void test_users(void) {
        _cleanup_json_ json_t *json =
                        parse("{\"username\":\"op\",\"password\":\"long enough\",\"role\":\"operator\"}");
        _cleanup_json_ json_t *change = parse("{\"enabled\":false}");
        _cleanup_json_ json_t *shown = NULL;
        _cleanup_(erase_and_freep) char *password = NULL, *none = NULL;
        _cleanup_(user_done) User user = USER_NULL;

        CHECK_OK(user_from_json(json, &user, &password, NULL));
        CHECK_STR(password, "long enough");
        CHECK_INT(user.role, USER_OPERATOR);
        user.password_hash = strdup("$y$secret");
        user.enabled = true;
        CHECK_OK(user_from_json(change, &user, &none, NULL));
        CHECK(!user.enabled);
        CHECK(!none);
        shown = user_to_json(&user);
        CHECK(shown && !json_object_get(shown, "password_hash") && !json_object_get(shown, "password"));
}

int main(void) {
        RUN(test_task_fields);
        RUN(test_task_defaults_and_changes);
        RUN(test_task_verify);
        RUN(test_task_hooks);
        RUN(test_task_type);
        RUN(test_task_one_snapshot);
        RUN(test_task_paths);
        RUN(test_targets);
        RUN(test_sftp);
        RUN(test_azure);
        RUN(test_ftp);
        RUN(test_s3);
        RUN(test_webdav);
        RUN(test_target_changes);
        RUN(test_restores);
        RUN(test_names);
        RUN(test_users);
        return 0;
}
