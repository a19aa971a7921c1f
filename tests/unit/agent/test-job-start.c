/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/job/kinds.h"
#include "agent/job/start.h"
#include "base/text.h"
#include "tests/test.h"

#define CONTEXT \
        "\"context\":{\"master_url\":\"https://m\",\"results_dir\":\"/r\"," \
        "\"node\":{\"id\":7,\"name\":\"web\"}," \
        "\"ca_cert\":null,\"pin\":null,\"insecure_tls\":true,\"new\":1}"

static int parse(const char *text, JobStart *ret, Failure *f) {
        _cleanup_json_ json_t *json = NULL;

        CHECK_OK(json_parse_strict(text, strlen(text), 16, &json, NULL));
        return job_start_parse(json, ret, f);
}

static void test_good(void) {
        _cleanup_(job_start_done) JobStart s = JOB_START_NULL;

        CHECK_OK(parse("{\"type\":\"start\",\"command\":5,\"attempt\":2,\"kind\":\"backup\","
                       "\"deadline\":null,"
                       "\"spec\":{\"run\":12}," CONTEXT ",\"secrets\":{\"targets\":{\"5\":{\"a\":\"b\"}}}}",
                       &s, NULL));
        CHECK_INT(s.name.command, 5);
        CHECK_INT(s.name.attempt, 2);
        CHECK_INT(s.kind, COMMAND_BACKUP);
        CHECK_STR(s.context.master_url, "https://m");
        CHECK_STR(s.context.node_name, "web");
        CHECK_INT(s.context.node_id, 7);
        CHECK(s.context.insecure_tls);
        CHECK(!s.context.pin);
        CHECK_INT(job_start_run(&s), 12);
        CHECK(command_secrets_target(&s.secrets, 5));
}

static void test_bad(void) {
        static const char *const texts[] = {
                "{}",
                "{\"command\":5,\"attempt\":2,\"kind\":\"dance\",\"spec\":{}," CONTEXT "}",
                "{\"command\":5,\"attempt\":2,\"kind\":\"backup\"," CONTEXT "}",
                "{\"command\":-5,\"attempt\":2,\"kind\":\"backup\",\"spec\":{}," CONTEXT "}",
                "{\"command\":5,\"attempt\":\"2\",\"kind\":\"backup\",\"spec\":{}," CONTEXT "}",
                "{\"command\":5,\"attempt\":2,\"kind\":\"backup\",\"spec\":{},\"context\":{}}",
                "{\"command\":5,\"attempt\":2,\"kind\":\"backup\",\"spec\":{}}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(job_start_done) JobStart s = JOB_START_NULL;
                _cleanup_failure_ Failure f = FAILURE_NULL;

                CHECK(parse(texts[i], &s, &f) < 0);
                CHECK(failure_is_set(&f));
        }
}

/* Each kind has its function or is refused; a new kind makes the compiler ask. */
static void test_kinds(void) {
        CHECK(job_kind_function(COMMAND_BACKUP));
        CHECK(job_kind_function(COMMAND_RESTORE));
        CHECK(job_kind_function(COMMAND_BROWSE));
        CHECK(job_kind_function(COMMAND_LIST_DIR));
        CHECK(job_kind_function(COMMAND_TEST_STORAGE));
        CHECK(job_kind_function(COMMAND_TEST_TASK));
        CHECK(job_kind_function(COMMAND_SELF_CHECK));
        CHECK(job_kind_function(COMMAND_VERIFY));
        CHECK(job_kind_function(COMMAND_PRUNE));
        CHECK(!job_kind_function(_COMMAND_KIND_INVALID));
}

int main(void) {
        RUN(test_good);
        RUN(test_bad);
        RUN(test_kinds);
        return 0;
}
