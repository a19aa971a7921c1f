/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/daemon/reply.h"
#include "base/text.h"
#include "tests/test.h"

static void read_one(unsigned status, const char *body, int error, Reply *ret) {
        const HttpReply http = {
                .error = error,
                .reason = error ? "connection refused" : NULL,
                .status = status,
                .retry_after = 7 * USEC_PER_SEC,
                .body = body,
                .size = strlen(body),
        };

        reply_read(&http, ret);
}

static void test_table(void) {
        static const struct {
                unsigned status;
                const char *body;
                ReplyVerdict verdict;
        } cases[] = {
                { 200, "{\"code\":\"OK\",\"data\":{}}", REPLY_OK },
                { 201, "{\"code\":\"OK\",\"data\":{\"a\":1}}", REPLY_OK },
                { 204, "", REPLY_EMPTY },
                /* Not a master of ours: a captive portal answers 200 to everything. */
                { 200, "<html>Welcome to the hotel</html>", REPLY_RETRY },
                { 200, "{\"code\":\"OK\"}", REPLY_RETRY },
                { 200, "{\"data\":[]}", REPLY_RETRY },
                { 200, "", REPLY_RETRY },
                { 301, "", REPLY_RETRY },
                { 302, "{\"code\":\"OK\",\"data\":{}}", REPLY_RETRY },
                { 400, "{\"code\":\"FIELD_INVALID\",\"message\":\"x\"}", REPLY_REFUSED },
                { 400, "Bad Request", REPLY_RETRY },
                { 400, "{\"code\":\"TLS_REQUIRED\",\"message\":\"x\"}", REPLY_RETRY },
                { 401, "{\"code\":\"NODE_TOKEN_INVALID\"}", REPLY_UNAUTHORIZED },
                { 401, "", REPLY_UNAUTHORIZED },
                { 403, "", REPLY_UNAUTHORIZED },
                { 404, "Not Found", REPLY_RETRY },
                { 404, "{\"code\":\"COMMAND_NOT_FOUND\"}", REPLY_STALE },
                { 404, "{\"code\":\"ROUTE_NOT_FOUND\"}", REPLY_REFUSED },
                { 408, "", REPLY_RETRY },
                { 409, "{\"code\":\"NODE_DUPLICATE\"}", REPLY_DUPLICATE },
                { 409, "{\"code\":\"COMMAND_ATTEMPT_STALE\"}", REPLY_STALE },
                { 409, "{\"code\":\"NODE_KEY_MISMATCH\"}", REPLY_REFUSED },
                { 409, "", REPLY_REFUSED },
                { 410, "{\"code\":\"COMMAND_GONE\"}", REPLY_STALE },
                { 410, "", REPLY_STALE },
                { 413, "{\"code\":\"BODY_TOO_LARGE\"}", REPLY_REFUSED },
                { 429, "{\"code\":\"LIMIT_EXCEEDED\"}", REPLY_RETRY },
                { 500, "{\"code\":\"INTERNAL\"}", REPLY_RETRY },
                { 502, "<html>", REPLY_RETRY },
                { 503, "", REPLY_RETRY },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(reply_done) Reply reply = REPLY_NULL;

                read_one(cases[i].status, cases[i].body, 0, &reply);
                if (reply.verdict != cases[i].verdict)
                        TEST_FAIL("%u %s is %s, expected %s", cases[i].status, cases[i].body,
                                  reply_verdict_to_string(reply.verdict),
                                  reply_verdict_to_string(cases[i].verdict));
                CHECK_INT(reply.status, cases[i].status);
                CHECK_INT(reply.retry_after, 7 * USEC_PER_SEC);
                if (reply.verdict != REPLY_OK && reply.verdict != REPLY_EMPTY)
                        CHECK(!isempty(reply.message));
                CHECK((reply.verdict == REPLY_OK) == json_is_object(reply.data));
        }
}

static void test_no_answer(void) {
        _cleanup_(reply_done) Reply reply = REPLY_NULL;

        read_one(200, "{\"data\":{}}", -ECONNRESET, &reply);
        CHECK_INT(reply.verdict, REPLY_RETRY);
        CHECK_INT(reply.status, 0);
        CHECK_STR(reply.message, "connection refused");
}

static void test_retry_after_is_bounded(void) {
        _cleanup_(reply_done) Reply reply = REPLY_NULL;
        const HttpReply http = { .status = 429, .body = "", .retry_after = 365 * USEC_PER_DAY };

        reply_read(&http, &reply);
        CHECK_INT(reply.retry_after, REPLY_RETRY_AFTER_MAX);
}

int main(void) {
        RUN(test_table);
        RUN(test_no_answer);
        RUN(test_retry_after_is_bounded);
        return 0;
}
