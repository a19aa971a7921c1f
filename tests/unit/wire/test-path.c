/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/path.h"

static void test_round_trip(void) {
        static const struct {
                const char *path, *json;
        } table[] = {
                { "/etc", "\"/etc\"" },
                { "/a b\n\"c\\", "\"/a b\\n\\\"c\\\\\"" },
                { "/gr\xc3\xbc\xc3\x9f", "\"/gr\xc3\xbc\xc3\x9f\"" },
                { "/gr\xfc\xdf", "{\"base64\":\"L2dy/N8=\"}" },
                { "\xff", "{\"base64\":\"/w==\"}" },
                { "\xed\xa0\x80", "{\"base64\":\"7aCA\"}" }, /* a surrogate is no UTF-8 */
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_t *json = json_from_path(table[i].path);
                _cleanup_(freep) char *text = NULL, *back = NULL;

                CHECK(json);
                CHECK_OK(json_format(json, &text, NULL));
                CHECK_STR(text, table[i].json);
                CHECK_OK(json_to_path(json, &back));
                CHECK_STR(back, table[i].path);
        }
}

static void test_refused(void) {
        static const char *const bad[] = {
                "\"\"",
                "1",
                "null",
                "{}",
                "{\"base64\":1}",
                "{\"base64\":\"\"}",
                "{\"base64\":\"L2dy/N8\"}",
                "{\"base64\":\"L2dy/N8=\",\"x\":1}",
                "{\"base64\":\"AAAA\"}", /* NULs */
                "[\"/etc\"]",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_json_ json_t *json = NULL;
                _cleanup_(freep) char *path = NULL;

                CHECK_OK(json_parse_strict(bad[i], strlen(bad[i]), 4, &json, NULL));
                if (json_to_path(json, &path) >= 0)
                        TEST_FAIL("%s was taken", bad[i]);
        }
}

static void test_too_long(void) {
        char longest[WIRE_PATH_MAX + 2];
        _cleanup_json_ json_t *json = NULL;
        _cleanup_(freep) char *path = NULL;

        memset(longest, 'a', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = 0;
        json = json_from_path(longest);
        CHECK_INT(json_to_path(json, &path), -ENAMETOOLONG);
}

static void test_display(void) {
        static const struct {
                const char *path, *text;
        } table[] = {
                { "/etc/passwd", "/etc/passwd" },
                { "a\nb", "a\\x0Ab" },
                { "a\\x", "a\\\\x" },
                { "\x1b[2J", "\\x1B[2J" },
                { "gr\xc3\xbc", "gr\xc3\xbc" },
                { "gr\xfc", "gr\\xFC" },
                { "\xc2\x9b", "\\xC2\\x9B" }, /* a control character of C1 */
                { "\xe2\x82", "\\xE2\\x82" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(freep) char *text = NULL;

                CHECK_OK(path_display(table[i].path, &text));
                CHECK_STR(text, table[i].text);
        }
}

static void test_normalized(void) {
        static const char *const good[] = { "/", "/a", "/a/b", "/.a", "/..a", "/a..", "/..." };
        static const char *const bad[] = { "", "a", "/a/", "//a", "/a//b",
                                           "/.", "/..", "/a/.", "/a/../b", "/a/." };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                if (!path_is_normalized_absolute(good[i]))
                        TEST_FAIL("'%s' was refused", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (path_is_normalized_absolute(bad[i]))
                        TEST_FAIL("'%s' was taken", bad[i]);
}

int main(void) {
        RUN(test_round_trip);
        RUN(test_refused);
        RUN(test_too_long);
        RUN(test_display);
        RUN(test_normalized);
        return EXIT_SUCCESS;
}
