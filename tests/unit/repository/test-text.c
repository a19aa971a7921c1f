/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"
#include "repository/go-text.h"
#include "repository/json-pull.h"
#include "repository/moment.h"
#include "tests/test.h"

/* One byte at a time: no value may depend on where a piece ends. */
static ssize_t one_byte(void *userdata, void *buf, size_t n) {
        return json_pull_memory(userdata, buf, MIN(n, (size_t) 1));
}

static JsonPull *pull_of(JsonPullMemory *m, const char *json) {
        JsonPull *p;

        *m = (JsonPullMemory){ json, strlen(json) };
        CHECK_OK(json_pull_new(one_byte, m, &p));
        return p;
}

static void test_values(void) {
        _cleanup_(json_pull_freep) JsonPull *p = NULL;
        JsonPullMemory m;
        const char *text;
        uint64_t v;
        size_t n;

        p = pull_of(&m, " { \"a\\u00e9\" : [ 0 , 18446744073709551615,"
                        "\"\\ud83d\\ude00\\n\" ,[],{}], \"b\":null }\n");
        CHECK_INT(json_pull_peek(p), JSON_PULL_OBJECT);
        CHECK_OK(json_pull_enter_object(p));
        CHECK_INT(json_pull_member(p, &text), 1);
        CHECK_STR(text, "a\xc3\xa9");
        CHECK_OK(json_pull_enter_array(p));
        CHECK_INT(json_pull_element(p), 1);
        CHECK_OK(json_pull_u64(p, 0, &v));
        CHECK_INT(json_pull_element(p), 1);
        CHECK_OK(json_pull_u64(p, UINT64_MAX, &v));
        CHECK(v == UINT64_MAX);
        CHECK_INT(json_pull_element(p), 1);
        CHECK_OK(json_pull_string(p, &text, &n));
        CHECK_STR(text, "\xf0\x9f\x98\x80\n");
        CHECK_INT(n, 5);
        CHECK_INT(json_pull_element(p), 1);
        CHECK_OK(json_pull_skip(p));
        CHECK_INT(json_pull_element(p), 1);
        CHECK_OK(json_pull_skip(p));
        CHECK_INT(json_pull_element(p), 0);
        CHECK_INT(json_pull_member(p, &text), 1);
        CHECK_INT(json_pull_peek(p), JSON_PULL_NULL);
        CHECK_OK(json_pull_skip(p));
        CHECK_INT(json_pull_member(p, &text), 0);
        CHECK_OK(json_pull_end(p));
}

static void test_skip(void) {
        static const struct {
                const char *json;
                int result;
        } rows[] = {
                { "{\"a\":[1,-2.5e+3,{\"b\":\"]}\"},[[]]],\"c\":true}", 0 },
                { "0", 0 },
                { "-0.5", 0 },
                { "\"\\/\\b\\f\\r\\t\"", 0 },
                { "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", 0 },
                { "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", -EBADMSG },
                { "01", -EBADMSG },
                { "1.", -EBADMSG },
                { "-", -EBADMSG },
                { "1e", -EBADMSG },
                { "+1", -EBADMSG },
                { "nul", -EBADMSG },
                { "[1,]", -EBADMSG },
                { "[,1]", -EBADMSG },
                { "[1 2]", -EBADMSG },
                { "{\"a\"}", -EBADMSG },
                { "{a:1}", -EBADMSG },
                { "{\"a\":1,}", -EBADMSG },
                { "\"\x01\"", -EBADMSG },
                { "\"\\x\"", -EBADMSG },
                { "\"\\u0000\"", -EBADMSG },
                { "\"\\ud800\"", -EBADMSG },
                { "\"\\udc00\"", -EBADMSG },
                { "\"\\ud800\\u0041\"", -EBADMSG },
                { "\"\xff\"", -EBADMSG },
                { "\"", -EBADMSG },
                { "[1}", -EBADMSG },
                { "", -EBADMSG },
                { "1 1", -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(json_pull_freep) JsonPull *p = NULL;
                JsonPullMemory m;
                int r;

                p = pull_of(&m, rows[i].json);
                r = json_pull_skip(p);
                if (r >= 0)
                        r = json_pull_end(p);
                if (r != rows[i].result)
                        TEST_FAIL("%s gives %d", rows[i].json, r);
        }
}

static void test_numbers(void) {
        static const char *const bad[] = {
                "-1",
                "00",
                "1.0",
                "1e1",
                "18446744073709551616",
                "11",
                "\"1\"",
                "x",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(json_pull_freep) JsonPull *p = NULL;
                JsonPullMemory m;
                uint64_t v;
                int r;

                p = pull_of(&m, bad[i]);
                r = json_pull_u64(p, streq(bad[i], "11") ? 10 : UINT64_MAX, &v);
                if (r >= 0)
                        r = json_pull_end(p);
                CHECK_INT(r, -EBADMSG);
        }
}

/* As strconv.Quote() and encoding/json write them. */
static void test_go_text(void) {
        static const struct {
                const char *name, *quoted, *json;
        } rows[] = {
                { "", "", "\"\"" },
                { "plain", "plain", "\"plain\"" },
                { "\a\b\f\n\r\t\v", "\\a\\b\\f\\n\\r\\t\\v", "\"\\u0007\\u0008\\u000c\\n\\r\\t\\u000b\"" },
                { "q\"b\\", "q\\\"b\\\\", "\"q\\\"b\\\\\"" },
                { "\x01\x7f", "\\x01\\x7f", "\"\\u0001\x7f\"" },
                { "<&>'", "<&>'", "\"\\u003c\\u0026\\u003e'\"" },
                { "\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
                { "\xff\xc3", "\\xff\\xc3", "\"\\ufffd\\ufffd\"" },
                { "\xed\xa0\x80", "\\xed\\xa0\\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
                { "\xe2\x80\xa8", "\xe2\x80\xa8", "\"\\u2028\"" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_buffer_ Buffer quoted = BUFFER_NULL, json = BUFFER_NULL, back = BUFFER_NULL;

                CHECK_OK(go_text_quote(&quoted, rows[i].name));
                CHECK_STR(quoted.data, rows[i].quoted);
                CHECK_OK(go_text_add_json(&json, rows[i].name));
                CHECK_STR(json.data, rows[i].json);
                CHECK_OK(go_text_unquote(&back, quoted.data, quoted.size));
                CHECK_STR(back.data, rows[i].name);
        }
}

static void test_unquote(void) {
        static const struct {
                const char *quoted, *name;
        } rows[] = {
                { "\\u200b\\U0001f600", "\xe2\x80\x8b\xf0\x9f\x98\x80" },
                { "\\101\\x42", "AB" },
                { "\\'", NULL },
                { "\\", NULL },
                { "\\x4", NULL },
                { "\\000", NULL },
                { "\\400", NULL },
                { "\\ud800", NULL },
                { "\\U00110000", NULL },
                { "a\"b", NULL },
                { "a\nb", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_buffer_ Buffer out = BUFFER_NULL;
                int r = go_text_unquote(&out, rows[i].quoted, strlen(rows[i].quoted));

                CHECK_INT(r, rows[i].name ? 0 : -EINVAL);
                if (rows[i].name)
                        CHECK_STR(out.data, rows[i].name);
        }
}

static void test_moments(void) {
        static const struct {
                const char *text;
                int64_t sec;
                uint32_t nsec;
                int32_t offset;
        } rows[] = {
                { "1970-01-01T00:00:00Z", 0, 0, 0 },
                { "1969-12-31T23:59:58.5Z", -2, 500000000, 0 },
                { "2014-12-22T14:47:59.912418701+01:00", 1419256079, 912418701, 3600 },
                { "2000-02-29T12:00:00.00000001-09:30", 951859800, 10, -34200 },
                { "0001-01-01T00:00:00Z", -62135596800, 0, 0 },
                { "0000-01-01T00:00:00Z", -62167219200, 0, 0 },
                { "9999-12-31T23:59:59.999999999Z", 253402300799, 999999999, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char text[MOMENT_TEXT_MAX];
                Moment m;

                CHECK_OK(moment_parse(rows[i].text, strlen(rows[i].text), &m));
                CHECK_INT(m.sec, rows[i].sec);
                CHECK_INT(m.nsec, rows[i].nsec);
                CHECK_INT(m.offset, rows[i].offset);
                CHECK_STR(moment_format(&m, text), rows[i].text);
        }
}

static void test_odd_moments(void) {
        static const char *const bad[] = {
                "",
                "2020",
                "2020-01-01",
                "2020-13-01T00:00:00Z",
                "2021-02-29T00:00:00Z",
                "2020-01-01T24:00:00Z",
                "2020-01-01T00:00:60Z",
                "2020-01-01T00:00:00",
                "2020-01-01T00:00:00.Z",
                "2020-01-01T00:00:00+1:00",
                "2020-01-01T00:00:00Z ",
                "+020-01-01T00:00:00Z",
                "2020-01-01t00:00:00Z",
        };
        char text[MOMENT_TEXT_MAX];
        Moment m;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK_INT(moment_parse(bad[i], strlen(bad[i]), &m), -EINVAL);
        /* What cannot be written becomes a year that can. */
        CHECK(startswith(moment_format(&(Moment){ .sec = INT64_MAX }, text), "9999-"));
        CHECK(startswith(moment_format(&(Moment){ .sec = INT64_MIN }, text), "0000-"));
}

int main(void) {
        RUN(test_values);
        RUN(test_skip);
        RUN(test_numbers);
        RUN(test_go_text);
        RUN(test_unquote);
        RUN(test_moments);
        RUN(test_odd_moments);
        return EXIT_SUCCESS;
}
