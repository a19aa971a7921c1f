/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/json.h"

static void test_strict(void) {
        static const char *const bad[] = {
                "",
                " ",
                "{",
                "{}x",
                "{} {}",
                "{\"a\":1,\"a\":2}",
                "{\"a\":1,}",
                "{'a':1}",
                "{\"a\":\"\\u0000\"}",
                "{\"\\u0000\":1}",
                "{\"a\":\"\xff\"}",
                "{\"a\":\"\xc0\xaf\"}",
                "{\"a\":\"\\ud800\"}",
                "{\"a\":NaN}",
                "{\"a\":01}",
                "{\"a\":1e999}",
                "{\"a\":99999999999999999999}",
                "{\"a\":\"\n\"}",
                "/* c */ {}",
                "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_json_ json_t *json = NULL;

                if (json_parse_text(bad[i], &json, &failure) != -EBADMSG)
                        TEST_FAIL("'%s' was taken", bad[i]);
                CHECK_STR(failure.code, "JSON_INVALID");
        }
}

static void test_nul_and_depth(void) {
        _cleanup_json_ json_t *json = NULL;

        CHECK_INT(json_parse_text(NULL, &json, NULL), -EBADMSG);
        CHECK_INT(json_parse_strict("{}\0", 3, 4, &json, NULL), -EBADMSG);
        CHECK_INT(json_parse_strict("[[[[1]]]]", 9, 3, &json, NULL), -EBADMSG);
        CHECK_OK(json_parse_strict("[[[[1]]]]", 9, 4, &json, NULL));
        json = (json_decref(json), NULL);
        /* Brackets in strings are no depth. */
        CHECK_OK(json_parse_strict("\"[[[[[[[[\\\"[[[[\"", 16, 1, &json, NULL));
}

static void test_reader(void) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        _cleanup_(freep) char *name = NULL;
        _cleanup_(strv_freep) char **list = NULL;
        uint64_t id = 0;
        uint32_t level = 7;
        bool on = false;
        usec_t at = 0;
        uint8_t hex[2];
        JsonReader r, inner;

        CHECK_OK(json_parse_text("{\"id\":12,\"name\":\"etc\",\"on\":true,\"at\":\"1970-01-01T00:00:01Z\","
                                 "\"hex\":\"aB01\",\"list\":[\"a\",\"b\"],\"none\":null,"
                                 "\"inner\":{\"level\":3}}",
                                 &json, NULL));
        CHECK_OK(json_reader_init(&r, json, &failure));
        CHECK_INT(json_reader_u64(&r, "id", JSON_REQUIRED, 100, &id), 1);
        CHECK_INT(json_reader_strdup(&r, "name", JSON_REQUIRED, 10, &name), 1);
        CHECK_INT(json_reader_bool(&r, "on", JSON_REQUIRED, &on), 1);
        CHECK_INT(json_reader_time(&r, "at", JSON_REQUIRED, &at), 1);
        CHECK_INT(json_reader_hex(&r, "hex", JSON_REQUIRED, hex, 2), 1);
        CHECK_INT(json_reader_strv(&r, "list", JSON_REQUIRED, 2, 1, &list), 1);
        CHECK_INT(json_reader_u32(&r, "none", JSON_OPTIONAL, 9, &level), 0);
        CHECK_INT(level, 7);
        CHECK_INT(json_reader_u32(&r, "absent", JSON_OPTIONAL, 9, &level), 0);
        CHECK_INT(json_reader_object(&r, "inner", JSON_REQUIRED, &inner), 1);
        CHECK_INT(json_reader_u32(&inner, "level", JSON_REQUIRED, 9, &level), 1);
        CHECK_INT(json_reader_finish(&inner), 0);
        CHECK_INT(json_reader_finish(&r), 0);
        CHECK_INT(id, 12);
        CHECK_STR(name, "etc");
        CHECK(on);
        CHECK_INT(at, USEC_PER_SEC);
        CHECK_MEM(hex, "\xab\x01", 2);
        CHECK_INT(strv_length(list), 2);
        CHECK_INT(level, 3);
        CHECK(!failure_is_set(&failure));
}

/* One codec over documents with one fault each: the field is named. */
static int codec(const char *text, Failure *failure) {
        _cleanup_json_ json_t *json = NULL;
        _cleanup_(strv_freep) char **paths = NULL;
        const json_t *rows = NULL, *row;
        uint64_t id;
        JsonReader r, source;
        size_t i;
        int k;

        k = json_parse_text(text, &json, failure);
        if (k < 0)
                return k;
        (void) json_reader_init(&r, json, failure);
        (void) json_reader_u64(&r, "id", JSON_REQUIRED, 10, &id);
        (void) json_reader_object(&r, "source", JSON_REQUIRED, &source);
        (void) json_reader_strv(&source, "paths", JSON_REQUIRED, 3, 4, &paths);
        k = json_reader_finish(&source);
        if (k < 0)
                return k;
        if (json_reader_array(&r, "rows", JSON_OPTIONAL, 5, &rows) > 0)
                json_array_foreach((json_t *) rows, i, row) {
                        JsonReader element;

                        (void) json_reader_element(&r, "rows", i, row, &element);
                        (void) json_reader_u64(&element, "n", JSON_REQUIRED, 5, &id);
                }
        return json_reader_finish(&r);
}

static void test_names(void) {
        static const struct {
                const char *text, *code, *field;
        } table[] = {
                { "{\"id\":1,\"source\":{\"paths\":[]}}", NULL, NULL },
                { "{\"id\":1,\"source\":{\"paths\":[\"a\"]},\"rows\":[{\"n\":1},{\"n\":2}]}", NULL, NULL },
                { "[]", "FIELD_INVALID", NULL },
                { "{\"source\":{\"paths\":[]}}", "FIELD_MISSING", "id" },
                { "{\"id\":null,\"source\":{\"paths\":[]}}", "FIELD_MISSING", "id" },
                { "{\"id\":11,\"source\":{\"paths\":[]}}", "FIELD_INVALID", "id" },
                { "{\"id\":-1,\"source\":{\"paths\":[]}}", "FIELD_INVALID", "id" },
                { "{\"id\":1.0,\"source\":{\"paths\":[]}}", "FIELD_INVALID", "id" },
                { "{\"id\":\"1\",\"source\":{\"paths\":[]}}", "FIELD_INVALID", "id" },
                { "{\"id\":1}", "FIELD_MISSING", "source" },
                { "{\"id\":1,\"source\":[]}", "FIELD_INVALID", "source" },
                { "{\"id\":1,\"source\":{}}", "FIELD_MISSING", "source.paths" },
                { "{\"id\":1,\"source\":{\"paths\":[\"a\",3]}}", "FIELD_INVALID", "source.paths[1]" },
                { "{\"id\":1,\"source\":{\"paths\":[\"a\",\"\"]}}", "FIELD_INVALID", "source.paths[1]" },
                { "{\"id\":1,\"source\":{\"paths\":[\"aaaaa\"]}}", "FIELD_INVALID", "source.paths[0]" },
                { "{\"id\":1,\"source\":{\"paths\":[\"a\",\"a\",\"a\",\"a\"]}}", "FIELD_INVALID",
                  "source.paths" },
                { "{\"id\":1,\"source\":{\"paths\":[],\"pathes\":1}}", "FIELD_UNKNOWN", "source.pathes" },
                { "{\"id\":1,\"source\":{\"paths\":[]},\"x\":1}", "FIELD_UNKNOWN", "x" },
                { "{\"id\":1,\"source\":{\"paths\":[]},\"rows\":[{\"n\":1},{\"n\":9}]}", "FIELD_INVALID",
                  "rows[1].n" },
                { "{\"id\":1,\"source\":{\"paths\":[]},\"rows\":[1]}", "FIELD_INVALID", "rows[0]" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                int r = codec(table[i].text, &failure);

                if (r != (table[i].code ? -EBADMSG : 0))
                        TEST_FAIL("'%s' gave %d", table[i].text, r);
                if (!table[i].code)
                        continue;
                CHECK_STR(failure.code, table[i].code);
                if (!streq_ptr(failure.field, table[i].field))
                        TEST_FAIL("'%s' named '%s', expected '%s'", table[i].text, strempty(failure.field),
                                  strempty(table[i].field));
        }
}

static void test_first_error_stays(void) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        uint64_t v = 5;
        JsonReader r;

        CHECK_OK(json_parse_text("{\"a\":\"x\",\"b\":\"y\"}", &json, NULL));
        CHECK_OK(json_reader_init(&r, json, &failure));
        CHECK_INT(json_reader_u64(&r, "a", JSON_REQUIRED, 10, &v), -EBADMSG);
        CHECK_INT(json_reader_u64(&r, "b", JSON_REQUIRED, 10, &v), -EBADMSG);
        CHECK_INT(json_reader_finish_lenient(&r), -EBADMSG);
        CHECK_STR(failure.field, "a");
        CHECK_INT(v, 5);
}

static void test_build(void) {
        _cleanup_json_ json_t *json = json_object();
        _cleanup_(freep) char *text = NULL;
        char *list[] = { (char *) "a", (char *) "b", NULL };
        size_t n = 0;

        CHECK_OK(json_set(json, "n", json_from_u64(UINT64_MAX)));
        CHECK_OK(json_set(json, "t", json_from_time(USEC_PER_SEC)));
        CHECK_OK(json_set(json, "e", json_from_time(USEC_INFINITY)));
        CHECK_OK(json_set(json, "s", json_from_string(NULL)));
        CHECK_OK(json_set(json, "l", json_from_strv(list)));
        CHECK_INT(json_set(json, "x", NULL), -ENOMEM);
        CHECK_INT(json_set(NULL, "x", json_true()), -ENOMEM);
        CHECK_OK(json_format(json, &text, &n));
        CHECK_STR(text,
                  "{\"n\":9223372036854775807,\"t\":\"1970-01-01T00:00:01.000Z\",\"e\":null,\"s\":null,"
                  "\"l\":[\"a\",\"b\"]}");
        CHECK_INT(n, strlen(text));
}

int main(void) {
        RUN(test_strict);
        RUN(test_nul_and_depth);
        RUN(test_reader);
        RUN(test_names);
        RUN(test_first_error_stays);
        RUN(test_build);
        return EXIT_SUCCESS;
}
