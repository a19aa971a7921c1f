/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/exclude.h"

#define PATTERNS_MAX 6

typedef struct Case {
        const char *patterns[PATTERNS_MAX];
        const char *path;
        bool directory;
        bool excluded;
} Case;

/* Each line as 'git check-ignore' answers it. */
static const Case cases[] = {
        /* A name anywhere. */
        { { "foo" }, "foo", false, true },
        { { "foo" }, "a/b/foo", false, true },
        { { "foo" }, "food", false, false },
        { { "*.o" }, "a/x.o", false, true },
        { { "*.o" }, "a/x.obj", false, false },
        { { "*" }, "a/b", false, true },
        { { "?" }, "a", false, true },
        { { "?" }, "ab", false, false },
        { { "a?c" }, "abc", false, true },
        { { "a*c*e" }, "abcde", false, true },
        { { "a*c*e" }, "abcdef", false, false },
        { { "*a*a*a*a*a*a*b" }, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, false },
        /* Directories alone. */
        { { "build/" }, "build", true, true },
        { { "build/" }, "build", false, false },
        { { "build/" }, "x/build", true, true },
        /* Anchors. */
        { { "/foo" }, "foo", false, true },
        { { "/foo" }, "a/foo", false, false },
        { { "a/foo" }, "a/foo", false, true },
        { { "a/foo" }, "x/a/foo", false, false },
        { { "/a/*" }, "a/b", false, true },
        { { "/a/*" }, "a/b/c", false, false },
        { { "/*.c" }, "x.c", false, true },
        { { "/*.c" }, "d/x.c", false, false },
        { { "doc/*.txt" }, "doc/a.txt", false, true },
        { { "doc/*.txt" }, "doc/server/a.txt", false, false },
        /* Two stars. */
        { { "**/foo" }, "foo", false, true },
        { { "**/foo" }, "a/b/foo", false, true },
        { { "**/foo/bar" }, "foo/bar", false, true },
        { { "**/foo/bar" }, "x/foo/bar", false, true },
        { { "**/foo/bar" }, "x/foo/y/bar", false, false },
        { { "abc/**" }, "abc/x", false, true },
        { { "abc/**" }, "abc/x/y", false, true },
        { { "abc/**" }, "abc", true, false },
        { { "a/**/b" }, "a/b", false, true },
        { { "a/**/b" }, "a/x/b", false, true },
        { { "a/**/b" }, "a/x/y/z/b", false, true },
        { { "a/**/b" }, "a/x/y/bb", false, false },
        { { "a/**/b/**/c" }, "a/1/b/2/3/c", false, true },
        { { "a/**/b/**/c" }, "a/1/2/3/c", false, false },
        { { "**" }, "a/b", false, true },
        { { "**/" }, "a", true, true },
        { { "**/" }, "a", false, false },
        { { "a**b" }, "aXXb", false, true },
        { { "a**b" }, "a/b", false, false },
        { { "x/a**b" }, "x/a/b", false, false },
        /* Taken back: the last one decides. */
        { { "*.log", "!keep.log" }, "keep.log", false, false },
        { { "*.log", "!keep.log" }, "other.log", false, true },
        { { "!keep.log", "*.log" }, "keep.log", false, true },
        { { "*", "!*.c", "x.c" }, "x.c", false, true },
        { { "*", "!*.c", "x.c" }, "y.c", false, false },
        { { "/*", "!/foo", "/foo/*", "!/foo/bar" }, "foo/bar", true, false },
        { { "/*", "!/foo", "/foo/*", "!/foo/bar" }, "foo/baz", true, true },
        /* Escapes, comments, spaces. */
        { { "\\!important" }, "!important", false, true },
        { { "\\#x" }, "#x", false, true },
        { { "#x" }, "#x", false, false },
        { { "" }, "x", false, false },
        { { "/" }, "x", true, false },
        { { "foo   " }, "foo", false, true },
        { { "foo\\ " }, "foo ", false, true },
        { { "foo\\ " }, "foo", false, false },
        { { " foo" }, "foo", false, false },
        { { "a\\*b" }, "a*b", false, true },
        { { "a\\*b" }, "axb", false, false },
        { { "a\\\\b" }, "a\\b", false, true },
        { { "\\a" }, "a", false, true },
        /* Classes. */
        { { "[abc].x" }, "b.x", false, true },
        { { "[abc].x" }, "d.x", false, false },
        { { "[!abc].x" }, "d.x", false, true },
        { { "[^abc].x" }, "a.x", false, false },
        { { "[a-f]x" }, "dx", false, true },
        { { "[a-f]x" }, "gx", false, false },
        { { "[]]x" }, "]x", false, true },
        { { "[!]]x" }, "]x", false, false },
        { { "[a-]x" }, "-x", false, true },
        { { "[\\]]x" }, "]x", false, true },
        { { "[[:digit:]]" }, "7", false, true },
        { { "[[:digit:]]" }, "x", false, false },
        { { "[[:alpha:]_]z" }, "_z", false, true },
        { { "[[:upper:]]*" }, "Readme", false, true },
        { { "a[/]b" }, NULL, false, false }, /* cannot match: refused */
        /* Bytes, not characters. */
        { { "\xff*" }, "\xff\xfe", false, true },
        { { "h\xc3\xa9" }, "h\xc3\xa9", false, true },
        { { "a\nb" }, "a\nb", false, true },
};

static void test_table(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(excludes_freep) Excludes *e = NULL;
                const Case *c = &cases[i];
                char *patterns[PATTERNS_MAX + 1] = {};
                int r;

                for (size_t k = 0; k < PATTERNS_MAX; k++)
                        patterns[k] = (char *) c->patterns[k];
                r = excludes_new(patterns, NULL, &e, NULL);
                if (!c->path) {
                        CHECK_INT(r, -EINVAL);
                        continue;
                }
                CHECK_OK(r);
                if (excludes_match(e, 0, c->path, c->directory) != c->excluded)
                        TEST_FAIL("case %zu: '%s'… on '%s' should be %s", i, c->patterns[0], c->path,
                                  c->excluded ? "excluded" : "kept");
        }
}

static void test_sources(void) {
        char *patterns[] = { (char *) "/srv/data/cache", (char *) "/top", (char *) "!/home/x/top", NULL };
        char *sources[] = { (char *) "/srv/data", (char *) "/home/x", (char *) "/", NULL };
        _cleanup_(excludes_freep) Excludes *e = NULL;

        CHECK_OK(excludes_new(patterns, sources, &e, NULL));
        /* It begins with the path of a source: that very path. */
        CHECK(excludes_match(e, 0, "cache", true));
        CHECK(!excludes_match(e, 0, "srv/data/cache", true));
        CHECK(excludes_match(e, 2, "srv/data/cache", true));
        /* Everything else is at the top of each source. */
        CHECK(excludes_match(e, 0, "top", true));
        CHECK(!excludes_match(e, 0, "a/top", true));
        CHECK(!excludes_match(e, 1, "top", true));
        CHECK(excludes_match(e, 2, "top", true));
}

/* What the API says of a pattern before it is saved. */
static void test_check(void) {
        static const struct {
                const char *pattern, *reason; /* NULL: it is fine */
        } checks[] = {
                { "*.tmp", NULL },
                { "# of no interest", NULL },
                { "!keep", NULL },
                { "**/a/[!z-a]", NULL },
                { "a/...", NULL },
                { "[z-a]x", "no character" },
                { "[[:vowel:]]", "no character" },
                { "[z-a5]", NULL },
                { "a/[b", "not closed" },
                { "x\\", "end of a name" },
                { "./cache", "'.'" },
                { "!../x", "'.'" },
                { "/", "no name" },
                { "!", "no name" },
                { "  ", "no name" },
        };

        for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
                const char *reason = NULL;
                int r = exclude_check(checks[i].pattern, &reason);

                if (r != (checks[i].reason ? -EINVAL : 0))
                        TEST_FAIL("'%s' gave %d", checks[i].pattern, r);
                if (r < 0 && !strstr(reason, checks[i].reason))
                        TEST_FAIL("'%s' cannot match: %s", checks[i].pattern, reason);
        }
}

static void test_refused(void) {
        static const char *const bad[] = { "[abc", "x\\", "a/[b/c", "[a-", "[[:digit:]", "./x", "[z-a]" };
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(excludes_freep) Excludes *e = NULL;
        char *many[EXCLUDES_MAX + 2];

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *patterns[] = { (char *) bad[i], NULL };

                failure_done(&failure);
                CHECK_INT(excludes_new(patterns, NULL, &e, &failure), -EINVAL);
                CHECK_STR(failure.code, "EXCLUDE_INVALID");
                CHECK(strstr(failure.message, bad[i]));
        }
        for (size_t i = 0; i < ELEMENTSOF(many) - 1; i++)
                many[i] = (char *) "x";
        many[ELEMENTSOF(many) - 1] = NULL;
        CHECK_INT(excludes_new(many, NULL, &e, NULL), -E2BIG);
}

/* Patterns that take other matchers hours. */
static void test_time(void) {
        char path[4096] = "",
             *patterns[] = { (char *) "**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b",
                             (char *) "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", NULL };
        _cleanup_(excludes_freep) Excludes *e = NULL;

        for (size_t i = 0; i < 2000; i++)
                memcpy(path + 2 * i, "a/", 3);
        strcat(path, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        CHECK_OK(excludes_new(patterns, NULL, &e, NULL));
        for (size_t i = 0; i < 100; i++)
                CHECK(!excludes_match(e, 0, path, false));
}

int main(void) {
        RUN(test_table);
        RUN(test_sources);
        RUN(test_check);
        RUN(test_refused);
        RUN(test_time);
        return 0;
}
