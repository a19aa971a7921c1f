/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/check.h"

static json_t *load(const char *text) {
        json_t *json = NULL;

        CHECK_OK(json_parse_text(text, &json, NULL));
        return json;
}

static const char *text_of(const json_t *items, size_t i, const char *key) {
        return json_string_value(json_object_get(json_array_get(items, i), key));
}

static void test_sum(void) {
        static const struct {
                const char *states, *summary;
                CheckState worst;
                unsigned n;
        } table[] = {
                { "", NULL, CHECK_STATE_OK, 0 },
                { "oo", NULL, CHECK_STATE_OK, 2 },
                { "owow", "2 warnings: n1: t1", CHECK_STATE_WARNING, 2 },
                { "wowe", "1 error: n3: t3", CHECK_STATE_ERROR, 1 },
                { "ewe", "2 errors: n0: t0", CHECK_STATE_ERROR, 2 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_t *items = json_array();
                _cleanup_(freep) char *summary = NULL;
                unsigned n = 99;

                for (size_t k = 0; table[i].states[k]; k++) {
                        char c = table[i].states[k], name[] = { 'n', (char) ('0' + k), 0 };

                        CHECK_OK(check_add(items, name,
                                           c == 'o'                 ? CHECK_STATE_OK :
                                                           c == 'w' ? CHECK_STATE_WARNING :
                                                                      CHECK_STATE_ERROR,
                                           NULL, "t%zu", k));
                }
                CHECK_INT(check_worst(items, &n), table[i].worst);
                CHECK_INT(n, table[i].n);
                CHECK_OK(check_summary(items, &summary));
                CHECK(streq_ptr(summary, table[i].summary));
        }
}

/* What tools and files say is no text that can be relied on. */
static void test_form(void) {
        _cleanup_json_ json_t *items = json_array(), *json = NULL, *again = NULL;
        char huge[2 * CHECK_TEXT_MAX];
        const char *text;

        memset(huge, 'x', sizeof(huge) - 1);
        memcpy(huge + CHECK_TEXT_MAX - 1, "\xc3\xa4", 2);
        huge[sizeof(huge) - 1] = 0;
        CHECK_OK(check_add(items, "a", CHECK_STATE_OK, "do\nthis", "\xff and %s", "\033[2J"));
        CHECK_OK(check_add(items, "b", CHECK_STATE_OK, huge, "%s", huge));
        CHECK_STR(text_of(items, 0, "text"), "\\xFF and \\x1B[2J");
        CHECK_STR(text_of(items, 0, "hint"), "do\\x0Athis");
        text = text_of(items, 1, "text");
        CHECK_INT(strlen(text), CHECK_TEXT_MAX - 1); /* not half of the character */
        json = json_pack("{s:O}", "items", items);
        CHECK_OK(check_report_parse(json, &again, NULL));
        CHECK(json_equal(json_object_get(again, "items"), items));
        CHECK_INT(json_object_size(json_object_get(again, "tools")), 0);
}

/* Programs tell failures by their codes; what works has none. */
static void test_failures(void) {
        _cleanup_json_ json_t *items = json_array(), *json = NULL, *again = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;

        CHECK_INT(failure_set(&failure, -EACCES, "LOGIN_REFUSED", "no\nway"), -EACCES);
        CHECK_OK(check_add_failure(items, "server", &failure, -EACCES));
        CHECK_OK(check_add_failure(items, "other", NULL, -ENOENT));
        CHECK_STR(text_of(items, 0, "code"), "LOGIN_REFUSED");
        CHECK_STR(text_of(items, 0, "text"), "no\\x0Away");
        CHECK(!json_object_get(json_array_get(items, 1), "code"));
        CHECK_STR(text_of(items, 1, "text"), strerror(ENOENT));
        CHECK_INT(check_worst(items, NULL), CHECK_STATE_ERROR);
        json = json_pack("{s:O}", "items", items);
        CHECK_OK(check_report_parse(json, &again, NULL));
        CHECK(json_equal(json_object_get(again, "items"), items));
}

static void test_parse(void) {
        static const struct {
                const char *text, *field;
        } table[] = {
                { "{}", "items" },
                { "{\"items\":{}}", "items" },
                { "{\"items\":[7]}", "items[0]" },
                { "{\"items\":[{\"name\":\"a\",\"state\":\"ok\"}]}", "items[0].text" },
                { "{\"items\":[{\"name\":\"a\",\"state\":\"great\",\"text\":\"t\"}]}", "items[0].state" },
                { "{\"items\":[],\"tools\":[]}", "tools" },
                { "{\"items\":[],\"tools\":{\"a\":1}}", "tools" },
        };
        _cleanup_json_ json_t *good = load("{\"items\":[{\"name\":\"a\",\"state\":\"ok\",\"text\":\"t\","
                                           "\"more\":1}],\"tools\":{\"tar\":\"1.34\"},\"more\":[]}"),
                              *report = NULL;

        CHECK_OK(check_report_parse(good, &report, NULL));
        CHECK_INT(json_object_size(json_array_get(json_object_get(report, "items"), 0)), 4);
        CHECK_INT(json_object_size(report), 2);
        CHECK_STR(json_string_value(json_object_get(json_object_get(report, "tools"), "tar")), "1.34");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_t *json = load(table[i].text), *bad = NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK_INT(check_report_parse(json, &bad, &failure), -EBADMSG);
                CHECK_STR(failure.field, table[i].field);
                CHECK(!bad);
        }
}

int main(void) {
        RUN(test_sum);
        RUN(test_form);
        RUN(test_failures);
        RUN(test_parse);
        return EXIT_SUCCESS;
}
