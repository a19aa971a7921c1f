/* SPDX-License-Identifier: Apache-2.0 */

#include <syslog.h>

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/agent.h"

static json_t *load(const char *text) {
        json_t *json = NULL;

        CHECK_OK(json_parse_text(text, &json, NULL));
        return json;
}

#define HEARTBEAT \
        "{\"boot_id\":\"b\",\"agent_id\":\"a\",\"version\":\"1\",\"capacity\":4,\"future\":[1]," \
        "\"running\":[{\"command\":7,\"attempt\":2}],\"tools\":{\"pg_dump\":\"15.6\"},\"public_key\":null," \
        "\"addresses\":[\"192.0.2.1\"],\"clock\":\"2026-11-22T22:15:01Z\"}"

static void test_heartbeat(void) {
        static const struct {
                const char *key, *value, *field;
        } table[] = {
                { "boot_id", "null", "boot_id" },
                { "agent_id", "7", "agent_id" },
                { "capacity", "65", "capacity" },
                { "running", "[{\"command\":7}]", "running[0].attempt" },
                { "running", "[{\"command\":7,\"attempt\":4294967296}]", "running[0].attempt" },
                { "running", "{}", "running" },
                { "tools", "{\"x\":1}", "tools" },
                { "tools", "[]", "tools" },
                { "clock", "\"yesterday\"", "clock" },
        };
        _cleanup_(heartbeat_body_done) HeartbeatBody b = {};
        _cleanup_json_ json_t *json = load(HEARTBEAT);

        CHECK_OK(heartbeat_body_parse(json, &b, NULL));
        CHECK_INT(b.n_running, 1);
        CHECK_INT(b.running[0].command, 7);
        CHECK_INT(b.probes, 2);
        CHECK(!b.public_key);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(heartbeat_body_done) HeartbeatBody bad = {};
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_json_ json_t *changed = load(HEARTBEAT);

                CHECK_OK(json_set(changed, table[i].key, load(table[i].value)));
                CHECK_INT(heartbeat_body_parse(changed, &bad, &failure), -EBADMSG);
                CHECK_STR(failure.field, table[i].field);
        }
}

static void test_claim_and_accept(void) {
        _cleanup_(claim_body_done) ClaimBody b = {}, bad = {};
        _cleanup_json_ json_t *json = load("{\"agent_id\":\"a\",\"capacity\":0,\"probes\":1,"
                                           "\"unstarted\":[{\"command\":7,\"attempt\":2}],"
                                           "\"features\":[\"hooks\",\"next\"]}"),
                              *none = load("{\"capacity\":0}"), *accept = load("{\"attempt\":3}");
        uint64_t attempt = 0;

        CHECK_OK(claim_body_parse(json, &b, NULL));
        CHECK_INT(b.capacity, 0);
        CHECK_INT(b.probes, 1);
        CHECK_INT(b.n_unstarted, 1);
        CHECK_INT(b.unstarted[0].command, 7);
        CHECK_INT(b.unstarted[0].attempt, 2);
        CHECK_INT(strv_length(b.features), 2);
        CHECK_STR(b.features[1], "next");
        CHECK_INT(claim_body_parse(none, &bad, NULL), -EBADMSG);
        CHECK_OK(accept_body_parse(accept, &attempt, NULL));
        CHECK_INT(attempt, 3);
        CHECK_INT(accept_body_parse(none, &attempt, NULL), -EBADMSG);
}

#define LINE(seq) "{\"seq\":" #seq ",\"t\":\"2026-11-22T22:15:01Z\",\"level\":\"warning\",\"text\":\"x\"}"

static void test_progress(void) {
        static const char *const bad[] = {
                "{\"attempt\":1,\"log\":[" LINE(2) "," LINE(2) "]}",
                "{\"attempt\":1,\"log\":[" LINE(0) "]}",
                "{\"attempt\":1,\"log\":[{\"seq\":1,\"t\":\"2026-11-22T22:15:01Z\",\"level\":\"loud\"}]}",
                "{\"attempt\":1,\"phase\":7}",
                "{\"phase\":\"reading\"}",
        };
        _cleanup_(progress_body_done) ProgressBody b = {}, lines = {};
        _cleanup_json_ json_t
                        *json = load("{\"attempt\":1,\"phase\":\"reading\",\"bytes_read\":5,\"log\":[" LINE(
                                        2) "," LINE(9) "]}"),
                        *only = load("{\"attempt\":1,\"log\":[]}");

        CHECK_OK(progress_body_parse(json, &b, NULL));
        CHECK(b.has_progress);
        CHECK_INT(b.progress.bytes_read, 5);
        CHECK_INT(b.n_lines, 2);
        CHECK_INT(b.lines[1].sequence, 9);
        CHECK_INT(b.lines[0].level, LOG_WARNING);
        CHECK_OK(progress_body_parse(only, &lines, NULL));
        CHECK(!lines.has_progress);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(progress_body_done) ProgressBody body = {};
                _cleanup_json_ json_t *changed = load(bad[i]);

                if (progress_body_parse(changed, &body, NULL) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
        }
}

static void test_result(void) {
        _cleanup_(result_body_done) ResultBody b = {}, bad = {};
        _cleanup_json_ json_t *json = load("{\"attempt\":2,\"status\":\"failed\",\"error\":{\"code\":\"X\","
                                           "\"message\":\"m\"},\"result\":{\"files\":1},\"log\":[" LINE(
                                                           1) "]}"),
                              *unknown = load("{\"attempt\":2,\"status\":\"great\"}"),
                              *list = load("{\"attempt\":2,\"status\":\"failed\",\"result\":[]}");

        CHECK_OK(result_body_parse(json, &b, NULL));
        CHECK_INT(b.status, RESULT_FAILED);
        CHECK_STR(b.error_code, "X");
        CHECK_INT(b.n_lines, 1);
        CHECK(json_is_object(b.result));
        CHECK_INT(result_body_parse(unknown, &bad, NULL), -EBADMSG);
        CHECK_INT(result_body_parse(list, &bad, NULL), -EBADMSG);
}

static void test_line_limit(void) {
        _cleanup_json_ json_t *json = load("{\"attempt\":1,\"log\":[" LINE(1) "]}");
        _cleanup_(progress_body_done) ProgressBody b = {};
        _cleanup_(freep) char *text = malloc(AGENT_LOG_LINE_MAX + 2);

        memset(text, 'x', AGENT_LOG_LINE_MAX + 1);
        text[AGENT_LOG_LINE_MAX + 1] = 0;
        CHECK_OK(json_set(json_array_get(json_object_get(json, "log"), 0), "text", json_string(text)));
        CHECK_INT(progress_body_parse(json, &b, NULL), -EBADMSG);
}

static void test_command(void) {
        _cleanup_(freep) char *text = NULL;
        json_t *json = NULL;

        CHECK_OK(command_body_build(&(const HeldCommand){ .command = 7, .attempt = 2 }, COMMAND_BACKUP,
                                    USEC_INFINITY, "{\"run\":1}", "c2Vj", &json));
        CHECK_OK(json_format(json, &text, NULL));
        CHECK_STR(text, "{\"id\":7,\"attempt\":2,\"kind\":\"backup\",\"deadline\":null,\"spec\":{\"run\":1},"
                        "\"secrets\":\"c2Vj\"}");
        json_decref(json);
        CHECK_INT(command_body_build(&(const HeldCommand){}, COMMAND_BACKUP, 0, "{", NULL, &json), -EBADMSG);
}

int main(void) {
        RUN(test_heartbeat);
        RUN(test_claim_and_accept);
        RUN(test_progress);
        RUN(test_result);
        RUN(test_line_limit);
        RUN(test_command);
        return EXIT_SUCCESS;
}
