/* SPDX-License-Identifier: Apache-2.0 */

/* The parts of the HTTP client that need no server. */

#include "base/alloc.h"
#include "base/text.h"
#include "storage/http-server.h"
#include "tests/test.h"

/* Half a second, one, two… up to twenty at most, each between its tenth of the first and the whole; or what
 * the server asks for, up to a minute. */
static void test_pause(void) {
        static const usec_t most[] = { 500, 1000, 2000, 4000, 8000, 16000, 20000, 20000 };
        Backoff b = HTTP_BACKOFF;

        for (size_t i = 0; i < ELEMENTSOF(most); i++)
                CHECK_INT(http_server_pause(&b, UINT32_MAX, 0), most[i] * USEC_PER_MSEC);
        b = HTTP_BACKOFF;
        CHECK_INT(http_server_pause(&b, 0, 0), 50 * USEC_PER_MSEC);
        CHECK_INT(http_server_pause(&b, UINT32_MAX, 0), 1000 * USEC_PER_MSEC);
        CHECK_INT(http_server_pause(&b, 0, 7 * USEC_PER_SEC), 7 * USEC_PER_SEC);
        CHECK_INT(http_server_pause(&b, 0, USEC_PER_HOUR), USEC_PER_MINUTE);
        CHECK_INT(http_server_pause(&b, UINT32_MAX, USEC_PER_SEC), 8 * USEC_PER_SEC);
}

static void check_header(const HttpAnswer *a, const char *name, const char *expected) {
        _cleanup_(freep) char *value = NULL;

        CHECK_INT(http_answer_header(a, name, &value), expected ? 1 : 0);
        if (expected)
                CHECK_STR(value, expected);
}

static void test_headers(void) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;

        check_header(&a, "etag", NULL);
        CHECK_OK(buffer_add_string(&a.headers, "ETag:  \"a b\" \r\nX-Empty:\r\nX-Empty-not: 1\r\nlast:x"));
        check_header(&a, "etag", "\"a b\"");
        check_header(&a, "ETAG", "\"a b\"");
        check_header(&a, "x-empty", "");
        check_header(&a, "x-empt", NULL);
        check_header(&a, "LAST", "x");
        check_header(&a, "lasts", NULL);
}

static void test_judgement(void) {
        static const struct {
                long status;
                int error;
                const char *code;
                bool may_pass;
        } cases[] = {
                { 401, EACCES, "STORAGE_DENIED", false },
                { 403, EACCES, "STORAGE_DENIED", false },
                { 404, ENOENT, "OBJECT_NOT_FOUND", false },
                { 412, EEXIST, "OBJECT_EXISTS", false },
                { 422, EBADMSG, "STORAGE_CHECKSUM", false },
                { 429, EBUSY, "STORAGE_THROTTLED", true },
                { 500, EIO, "STORAGE_FAILED", true },
                { 503, EBUSY, "STORAGE_THROTTLED", true },
                { 507, ENOSPC, "STORAGE_FULL", false },
                { 302, EIO, "STORAGE_REDIRECTED", false },
                { 418, EIO, "STORAGE_FAILED", false },
                { 501, EOPNOTSUPP, "STORAGE_FAILED", false },
        };
        Storage s = { .name = (char *) "target 1" };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_failure_ Failure f = FAILURE_NULL;
                HttpVerdict v = http_judge_status(&s, cases[i].status, "its words", "a/key", &f);

                CHECK_INT(v.error, -cases[i].error);
                CHECK_INT(v.may_pass, cases[i].may_pass);
                CHECK_STR(f.code, cases[i].code);
                CHECK(strstr(f.message, "a/key") && strstr(f.message, "its words"));
        }
}

static void test_lines(void) {
        HttpLines l = {};

        for (size_t i = 0; i < HTTP_LINES_MAX; i++)
                CHECK_OK(http_line_add(&l, "x: %zu", i));
        CHECK_INT(http_line_add(&l, "one: more"), -E2BIG);
        http_lines_done(&l);
        CHECK_INT(l.n, 0);
}

static void test_escape(void) {
        char *text = NULL;

        CHECK_OK(http_escape_path("a b/\xc3\xa9?%+~", &text));
        CHECK_STR(text, "a%20b/%C3%A9%3F%25%2B~");
        free(text);
        CHECK_OK(http_escape_text("a/b", &text));
        CHECK_STR(text, "a%2Fb");
        free(text);
}

int main(void) {
        RUN(test_pause);
        RUN(test_headers);
        RUN(test_judgement);
        RUN(test_lines);
        RUN(test_escape);
        return 0;
}
