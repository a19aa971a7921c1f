/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "services/scheduler/request.h"
#include "tests/test.h"

static void test_backup(void) {
        _cleanup_(run_request_done) RunRequest r = RUN_REQUEST_NULL;

        CHECK_OK(run_request_parse(
                        "{\"kind\":\"backup\",\"task_id\":3,\"by\":{\"user_id\":7,\"username\":\"ann\","
                        "\"address\":\"::1\"}}",
                        &r, NULL));
        CHECK_INT(r.kind, RUN_BACKUP);
        CHECK_INT(r.task_id, 3);
        CHECK_INT(r.by.user_id, 7);
        CHECK_STR(r.by.username, "ann");
        CHECK_STR(r.by.address, "::1");
        CHECK(!r.details);
}

static void test_restore(void) {
        _cleanup_(run_request_done) RunRequest r = RUN_REQUEST_NULL;

        CHECK_OK(run_request_parse(
                        "{\"kind\":\"restore\",\"source_run\":12,\"node_id\":2,\"restore\":{\"destination\":"
                        "{\"path\":\"/srv\"},\"paths\":[],\"conflict\":\"fail\"},\"by\":{}}",
                        &r, NULL));
        CHECK_INT(r.kind, RUN_RESTORE);
        CHECK_INT(r.source_run, 12);
        CHECK_INT(r.node_id, 2);
        CHECK(strstr(r.details, "\"/srv\""));
}

static void test_verify(void) {
        _cleanup_(run_request_done) RunRequest r = RUN_REQUEST_NULL;

        CHECK_OK(run_request_parse(
                        "{\"kind\":\"verify\",\"source_run\":12,\"verify\":{\"share\":1,\"shares\":7}}", &r,
                        NULL));
        CHECK_INT(r.kind, RUN_VERIFY);
        CHECK_INT(r.source_run, 12);
        CHECK(strstr(r.details, "\"shares\":7"));
}

static void test_prune(void) {
        _cleanup_(run_request_done) RunRequest r = RUN_REQUEST_NULL;

        CHECK_OK(run_request_parse("{\"kind\":\"prune\",\"source_run\":12,\"prune\":{\"space\":\"now\"}}",
                                   &r, NULL));
        CHECK_INT(r.kind, RUN_PRUNE);
        CHECK_INT(r.source_run, 12);
        CHECK(strstr(r.details, "\"now\""));
}

static void test_refused(void) {
        static const char *const texts[] = {
                "",
                "null",
                "[]",
                "{}",
                "{\"kind\":\"verify\",\"task_id\":3}",
                "{\"kind\":\"backup\"}",
                "{\"kind\":\"backup\",\"task_id\":-3}",
                "{\"kind\":\"backup\",\"task_id\":\"3\"}",
                "{\"kind\":\"backup\",\"task_id\":3,\"surprise\":1}",
                "{\"kind\":\"backup\",\"task_id\":3,\"by\":{\"surprise\":1}}",
                "{\"kind\":\"restore\",\"source_run\":12}",
                "{\"kind\":\"restore\",\"restore\":{}}",
                "{\"kind\":\"verify\",\"source_run\":12,\"restore\":{}}",
                "{\"kind\":\"backup\",\"task_id\":3} x",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(run_request_done) RunRequest r = RUN_REQUEST_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                if (run_request_parse(texts[i], &r, &failure) != -EBADMSG)
                        TEST_FAIL("%s is not refused", texts[i]);
                CHECK(failure_is_set(&failure));
                CHECK(!r.details && !r.by.username);
        }
}

int main(void) {
        RUN(test_backup);
        RUN(test_restore);
        RUN(test_verify);
        RUN(test_prune);
        RUN(test_refused);
        return 0;
}
