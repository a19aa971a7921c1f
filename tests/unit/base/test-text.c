/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/failure.h"
#include "base/macros.h"
#include "base/text.h"
#include "tests/test.h"

static void test_prefixes(void) {
        CHECK(endswith("archive.age", ".age"));
        CHECK(endswith("age", "age"));
        CHECK(endswith("age", ""));
        CHECK(!endswith("ag", "age"));
        CHECK(!endswith("age ", "age"));
        CHECK_STR(startswith("bxn_token", "bxn_"), "token");
        CHECK_STR(startswith("bxn_", "bxn_"), "");
        CHECK(!startswith("bxn", "bxn_"));
        CHECK(streq_ptr(NULL, NULL) && streq_ptr("a", "a") && !streq_ptr("a", NULL) &&
              !streq_ptr(NULL, "a"));
        CHECK(isempty(NULL) && isempty("") && !isempty(" "));
        CHECK_STR(strempty(NULL), "");
}

static void test_strdup(void) {
        _cleanup_(freep) char *p = NULL;

        CHECK_OK(free_and_strdup(&p, "one"));
        CHECK_STR(p, "one");
        CHECK_OK(free_and_strdup(&p, p + 1)); /* a part of what is freed */
        CHECK_STR(p, "ne");
        CHECK_OK(free_and_strdup(&p, NULL));
        CHECK(!p);
        CHECK_OK(asprintf_safe(&p, "%s-%d", "x", 7));
        CHECK_STR(p, "x-7");
}

static void test_memdup0(void) {
        _cleanup_(freep) char *p = memdup0("a\0b", 3), *empty = memdup0(NULL, 0);

        CHECK(p && empty);
        CHECK_MEM(p, "a\0b\0", 4);
        CHECK_STR(empty, "");
        CHECK(!memdup0("", SIZE_MAX));
}

static void test_erase(void) {
        char secret[8] = "secret";

        {
                CLEANUP_ERASE(secret);
                CHECK_STR(secret, "secret");
        }
        for (size_t i = 0; i < sizeof(secret); i++)
                CHECK_INT(secret[i], 0);
        CHECK(!erase_and_free(NULL));
        CHECK(!erase_and_free(strdup("secret")));
}

static void test_constant_time(void) {
        CHECK(equal_constant_time("abc", "abc", 3));
        CHECK(equal_constant_time("abc", "abd", 2));
        CHECK(!equal_constant_time("abc", "abd", 3));
        CHECK(!equal_constant_time("\0bc", "\1bc", 3));
        CHECK(equal_constant_time(NULL, NULL, 0));
}

static void test_strv(void) {
        _cleanup_(strv_freep) char **l = NULL;
        size_t n = 0;

        CHECK_INT(strv_length(NULL), 0);
        CHECK(!strv_contains(NULL, "a"));
        CHECK_OK(strv_extend(&l, "a"));
        CHECK_OK(strv_extend(&l, ""));
        CHECK_OK(strv_extend(&l, "c"));
        CHECK_INT(strv_length(l), 3);
        CHECK(strv_contains(l, "") && strv_contains(l, "c") && !strv_contains(l, "b"));
        STRV_FOREACH(s, l)
                CHECK_STR(*s, n++ == 0 ? "a" : n == 2 ? "" :
                                                        "c");
        CHECK_INT(n, 3);
        CHECK(!strv_free(NULL));
}

static void test_utf8(void) {
        static const struct {
                const char *text;
                size_t n;
                bool valid;
        } cases[] = {
                { "", 0, true },
                { "plain", 5, true },
                { "a\0b", 3, true },
                { "\x7f", 1, true },
                { "\xc2\x80", 2, true },
                { "\xdf\xbf", 2, true },
                { "\xe0\xa0\x80", 3, true },
                { "\xed\x9f\xbf", 3, true },
                { "\xee\x80\x80", 3, true },
                { "\xef\xbf\xbf", 3, true },
                { "\xf0\x90\x80\x80", 4, true },
                { "\xf4\x8f\xbf\xbf", 4, true },
                { "\x80", 1, false },                 /* a continuation alone */
                { "\xc2", 1, false },                 /* cut */
                { "\xe2\x82", 2, false },             /* cut */
                { "\xf0\x90\x80", 3, false },         /* cut */
                { "\xc0\x80", 2, false },             /* overlong NUL */
                { "\xc1\xbf", 2, false },             /* overlong */
                { "\xe0\x9f\xbf", 3, false },         /* overlong */
                { "\xf0\x8f\xbf\xbf", 4, false },     /* overlong */
                { "\xed\xa0\x80", 3, false },         /* a surrogate */
                { "\xed\xbf\xbf", 3, false },         /* a surrogate */
                { "\xf4\x90\x80\x80", 4, false },     /* above U+10FFFF */
                { "\xf8\x88\x80\x80\x80", 5, false }, /* five bytes */
                { "\xff", 1, false },
                { "a\xe9", 2, false }, /* Latin-1 */
                { "\xc2\x41", 2, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (utf8_is_valid(cases[i].text, cases[i].n) != cases[i].valid)
                        TEST_FAIL("case %zu is not %s", i, cases[i].valid ? "valid" : "invalid");
}

/* Sets and returns in one statement, and %m is the error's text. */
static int fail(Failure *f, const char *object) {
        errno = EPERM;
        return failure_set(f, -ENOENT, "NOT_FOUND", "%s was not found: %m", object);
}

static void test_failure(void) {
        _cleanup_failure_ Failure f = FAILURE_NULL;

        CHECK(!failure_is_set(&f) && !failure_is_set(NULL));
        CHECK_STR(failure_message(&f, -EACCES), "Permission denied");
        CHECK_STR(failure_message(NULL, -EACCES), "Permission denied");
        CHECK_INT(fail(&f, "/x"), -ENOENT);
        CHECK(failure_is_set(&f));
        CHECK_STR(f.code, "NOT_FOUND");
        CHECK_STR(failure_message(&f, -EACCES), "/x was not found: No such file or directory");
        /* The first one stays, and nobody needs to have one. */
        CHECK_INT(fail(&f, "/y"), -ENOENT);
        CHECK_STR(failure_message(&f, -EACCES), "/x was not found: No such file or directory");
        CHECK_INT(fail(NULL, "/z"), -ENOENT);
        failure_done(&f);
        CHECK(!failure_is_set(&f));
        CHECK_INT(failure_set_field(&f, -EINVAL, "FIELD_INVALID", "source.paths", "%s", "wrong"), -EINVAL);
        CHECK_STR(f.field, "source.paths");
        CHECK_STR(f.message, "wrong");
}

typedef enum Color {
        COLOR_RED,
        COLOR_GREEN,
        _COLOR_MAX,
        _COLOR_INVALID = -EINVAL,
} Color;

DECLARE_STRING_TABLE(color, Color);
static const char *const color_table[_COLOR_MAX] = { [COLOR_RED] = "red", [COLOR_GREEN] = "green" };
DEFINE_STRING_TABLE(color, Color);

static void test_string_table(void) {
        CHECK_STR(color_to_string(COLOR_GREEN), "green");
        CHECK(!color_to_string(_COLOR_MAX));
        CHECK(!color_to_string(_COLOR_INVALID));
        CHECK_INT(color_from_string("red"), COLOR_RED);
        CHECK_INT(color_from_string("Red"), _COLOR_INVALID);
        CHECK_INT(color_from_string(""), _COLOR_INVALID);
        CHECK_INT(color_from_string(NULL), _COLOR_INVALID);
}

static void test_macros(void) {
        struct pair {
                int a, b;
        } p = { 1, 2 };
        char *text = strdup("x"), *taken;
        int fd = 7, taken_fd;

        taken = TAKE_PTR(text);
        CHECK(!text);
        CHECK_STR(taken, "x");
        free(taken);
        taken_fd = TAKE_FD(fd);
        CHECK_INT(taken_fd, 7);
        CHECK(fd < 0);
        CHECK(CONTAINER_OF(&p.b, struct pair, b) == &p);
        CHECK_INT(CLAMP(5, 1, 3), 3);
        CHECK_INT(CLAMP(0, 1, 3), 1);
        CHECK_INT(CLAMP(2, 1, 3), 2);
        CHECK_INT(STRLEN("four"), 4);
}

int main(void) {
        RUN(test_prefixes);
        RUN(test_strdup);
        RUN(test_memdup0);
        RUN(test_erase);
        RUN(test_constant_time);
        RUN(test_strv);
        RUN(test_utf8);
        RUN(test_failure);
        RUN(test_string_table);
        RUN(test_macros);
        return EXIT_SUCCESS;
}
