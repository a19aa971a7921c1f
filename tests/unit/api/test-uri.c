/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "services/api/credential-header.h"
#include "services/api/page.h"
#include "services/api/uri.h"
#include "tests/test.h"

static void test_paths(void) {
        static const struct {
                const char *target, *path;
        } cases[] = {
                { "/", "/" },
                { "/a/b", "/a/b" },
                { "/a%2Fb?x=1", "/a%2Fb" },
                { "http://host:80/a", "/a" },
                { "https://host/a?b=c", "/a" },
                { "/?", "/" },
        };
        static const char *const wrong[] = {
                "",
                "a",
                "*",
                "http://host",
                "ftp://host/a",
                "host:443",
                "?x=1",
                "http://host?x",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(uri_done) Uri u = URI_NULL;

                CHECK_OK(uri_parse(cases[i].target, &u));
                CHECK_STR(u.path, cases[i].path);
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_(uri_done) Uri u = URI_NULL;

                CHECK_INT(uri_parse(wrong[i], &u), -EINVAL);
                CHECK(!u.path);
        }
}

static void test_query(void) {
        _cleanup_(uri_done) Uri u = URI_NULL;

        CHECK_OK(uri_parse("/x?a=1&b=two+words&c=%C3%A4%ff&d&e=&&f=a=b&g=x%26y", &u));
        CHECK_INT(u.n_params, 7);
        CHECK_STR(uri_param(&u, "a"), "1");
        CHECK_STR(uri_param(&u, "b"), "two words");
        CHECK_STR(uri_param(&u, "c"), "\xc3\xa4\xff");
        CHECK_STR(uri_param(&u, "d"), "");
        CHECK_STR(uri_param(&u, "e"), "");
        CHECK_STR(uri_param(&u, "f"), "a=b");
        CHECK_STR(uri_param(&u, "g"), "x&y");
        CHECK(!uri_param(&u, "h"));
}

static void test_bad_queries(void) {
        static const char *const wrong[] = {
                "/?a=1&a=2",
                "/?%61=1&a=2",
                "/?a=%",
                "/?a=%4",
                "/?a=%4g",
                "/?a=%00",
                "/?=1",
                "/?%00=1",
        };
        char many[256] = "/?";
        _cleanup_(uri_done) Uri u = URI_NULL;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                CHECK_INT(uri_parse(wrong[i], &u), -EINVAL);
        for (unsigned i = 0; i < URI_PARAMS_MAX; i++)
                (void) sprintf(many + strlen(many), "p%u=&", i);
        CHECK_OK(uri_parse(many, &u));
        uri_done(&u);
        strcat(many, "more");
        CHECK_INT(uri_parse(many, &u), -E2BIG);
}

static void test_bearer(void) {
        CHECK_STR(bearer_token("Bearer abc.DEF-_~+/=="), "abc.DEF-_~+/==");
        CHECK_STR(bearer_token("bearer  x"), "x");
        CHECK(!bearer_token("Bearer"));
        CHECK(!bearer_token("Bearer "));
        CHECK(!bearer_token("Bearer a b"));
        CHECK(!bearer_token("Basic abc"));
        CHECK(!bearer_token("Bearerabc"));
        CHECK(!bearer_token(""));
        CHECK(!bearer_token("Bearer \xff"));
}

static void test_cookies(void) {
        static const struct {
                const char *header;
                const char *value;
        } cases[] = {
                { "s=1", "1" },
                { "a=2; s=1; b=3", "1" },
                { "a=2;s=1", "1" },
                { " s=1 ", "1" },
                { "s=", "" },
                { "s=a=b", "a=b" },
                { "s=first; s=second", "first" },
                { "", NULL },
                { "xs=1", NULL },
                { "s", NULL },
                { "S=1", NULL },
                { ";;;", NULL },
                { "a=s=1", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *value = NULL;

                CHECK_INT(cookie_value(cases[i].header, "s", &value), cases[i].value ? 1 : 0);
                if (cases[i].value)
                        CHECK_STR(value, cases[i].value);
        }
}

static void test_pages(void) {
        Page page = {};

        CHECK_OK(page_parse(NULL, NULL, &page));
        CHECK_INT(page.limit, PAGE_LIMIT_DEFAULT);
        CHECK_INT(page.cursor, 0);
        CHECK_OK(page_parse("1", "9223372036854775807", &page));
        CHECK_INT(page.limit, 1);
        CHECK_INT(page.cursor, INT64_MAX);
        CHECK_INT(page_parse("0", NULL, &page), -EINVAL);
        CHECK_INT(page_parse("501", NULL, &page), -EINVAL);
        CHECK_INT(page_parse("-1", NULL, &page), -EINVAL);
        CHECK_INT(page_parse("", NULL, &page), -EINVAL);
        CHECK_INT(page_parse("10", "0", &page), -ERANGE);
        CHECK_INT(page_parse("10", "x", &page), -ERANGE);
        CHECK_INT(page_parse("10", "9223372036854775808", &page), -ERANGE);
        CHECK_INT(page.limit, 1); /* untouched by what failed */
}

int main(void) {
        RUN(test_paths);
        RUN(test_query);
        RUN(test_bad_queries);
        RUN(test_bearer);
        RUN(test_cookies);
        RUN(test_pages);
        return 0;
}
