/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "services/api/routes.h"
#include "tests/test.h"

static int nothing(Request *r) {
        return 0;
}

static const Route table[] = {
        { METHOD_GET, "/a", ACCESS_PUBLIC, 0, NULL, nothing },
        { METHOD_POST, "/a", ACCESS_ADMIN, 10, NULL, nothing },
        { METHOD_GET, "/a/{id}", ACCESS_VIEWER, 0, "limit cursor", nothing },
        { METHOD_PUT, "/a/{id}/b", ACCESS_VIEWER, 0, NULL, nothing },
        { METHOD_HEAD, "/files/{name}/{key*}", ACCESS_VIEWER, 0, NULL, nothing },
        { METHOD_GET, "/files/{name}/{key*}", ACCESS_VIEWER, 0, NULL, nothing },
        { METHOD_GET, "/ab/c", ACCESS_VIEWER, 0, NULL, nothing },
        { METHOD_GET, "/ab/{id}/c", ACCESS_VIEWER, 0, NULL, nothing },
};

static int match(Method method, const char *path, RouteMatch *m) {
        return route_match(table, ELEMENTSOF(table), method, path, m);
}

static void test_literals(void) {
        _cleanup_(route_match_done) RouteMatch m = ROUTE_MATCH_NULL;

        CHECK_INT(match(METHOD_GET, "/a", &m), 0);
        CHECK(m.route == &table[0]);
        route_match_done(&m);
        CHECK_INT(match(METHOD_HEAD, "/a", &m), 0);
        CHECK(m.route == &table[0]);
        route_match_done(&m);
        CHECK_INT(match(METHOD_POST, "/a", &m), 0);
        CHECK(m.route == &table[1]);
        route_match_done(&m);
        CHECK_INT(match(METHOD_GET, "/", &m), ROUTE_E_NOT_FOUND);
        CHECK_INT(match(METHOD_GET, "/a/", &m), ROUTE_E_NOT_FOUND);
        CHECK_INT(match(METHOD_GET, "//a", &m), ROUTE_E_NOT_FOUND);
        CHECK_INT(match(METHOD_GET, "/A", &m), ROUTE_E_NOT_FOUND);
        CHECK_INT(match(METHOD_GET, "/%61", &m), ROUTE_E_NOT_FOUND);
}

/* A part of a row, and a row and more, are not the row. */
static void test_prefixes(void) {
        static const struct {
                const char *path;
                int row;
        } cases[] = {
                { "/ab/c", 6 },
                { "/ab/7/c", 7 },
                { "/ab", -1 },
                { "/ab/", -1 },
                { "/ab/7", -1 },
                { "/ab/7/", -1 },
                { "/ab/7/cd", -1 },
                { "/ab/cd", -1 },
                { "/ab/c/", -1 },
                { "/a/7", 2 },
                { "/a{id}", -1 },
                { "/a/{id}", -1 },
                { "/file", -1 },
                { "/files", -1 },
                { "/files/", -1 },
                { "/files/x/", 5 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(route_match_done) RouteMatch m = ROUTE_MATCH_NULL;

                CHECK_INT(match(METHOD_GET, cases[i].path, &m), cases[i].row < 0 ? ROUTE_E_NOT_FOUND : 0);
                if (cases[i].row >= 0)
                        CHECK(m.route == &table[cases[i].row]);
        }
}

static void test_methods(void) {
        _cleanup_(route_match_done) RouteMatch m = ROUTE_MATCH_NULL;
        char text[ROUTE_ALLOW_MAX];

        CHECK_INT(match(METHOD_DELETE, "/a", &m), ROUTE_E_METHOD);
        CHECK_STR(method_format(m.allow, text), "GET, HEAD, POST");
        CHECK_INT(match(METHOD_GET, "/a/7/b", &m), ROUTE_E_METHOD);
        CHECK_STR(method_format(m.allow, text), "PUT");
        /* A method that nobody knows is refused like one that is not allowed. */
        CHECK_INT(match(0, "/a", &m), ROUTE_E_METHOD);
        CHECK_INT(match(0, "/nowhere", &m), ROUTE_E_NOT_FOUND);
        CHECK_INT(method_from_string("get"), _METHOD_INVALID);
        CHECK_INT(method_from_string("GET"), METHOD_GET);
        CHECK_INT(method_from_string("DELETE"), METHOD_DELETE);
        CHECK_STR(method_format(METHOD_GET | METHOD_HEAD | METHOD_POST | METHOD_PUT | METHOD_DELETE, text),
                  "GET, HEAD, POST, PUT, DELETE");
}

static void test_ids(void) {
        static const struct {
                const char *path;
                int result;
                uint64_t id;
        } cases[] = {
                { "/a/1", 0, 1 },
                { "/a/9223372036854775807", 0, INT64_MAX },
                { "/a/9223372036854775808", ROUTE_E_NOT_FOUND, 0 },
                { "/a/99999999999999999999999", ROUTE_E_NOT_FOUND, 0 },
                { "/a/0", ROUTE_E_NOT_FOUND, 0 },
                { "/a/01", ROUTE_E_NOT_FOUND, 0 },
                { "/a/-1", ROUTE_E_NOT_FOUND, 0 },
                { "/a/+1", ROUTE_E_NOT_FOUND, 0 },
                { "/a/1x", ROUTE_E_NOT_FOUND, 0 },
                { "/a/%31", 0, 1 },
                { "/a/%00", -EINVAL, 0 },
                { "/a/%zz", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(route_match_done) RouteMatch m = ROUTE_MATCH_NULL;

                CHECK_INT(match(METHOD_GET, cases[i].path, &m), cases[i].result);
                CHECK_INT(m.id, cases[i].id);
        }
}

static void test_tails(void) {
        _cleanup_(route_match_done) RouteMatch m = ROUTE_MATCH_NULL;

        CHECK_INT(match(METHOD_GET, "/files/x%20y/a/b%2Fc", &m), 0);
        CHECK_STR(m.params[0], "x y");
        CHECK_STR(m.params[1], "a/b/c");
        CHECK(m.route == &table[5]);
        route_match_done(&m);
        CHECK_INT(match(METHOD_HEAD, "/files/x/", &m), 0);
        CHECK_STR(m.params[1], "");
        CHECK(m.route == &table[4]);
        route_match_done(&m);
        CHECK_INT(match(METHOD_GET, "/files/x", &m), ROUTE_E_NOT_FOUND);
        CHECK_INT(match(METHOD_GET, "/files//y", &m), ROUTE_E_NOT_FOUND);
}

static void test_query_names(void) {
        CHECK(route_takes_query(&table[2], "limit"));
        CHECK(route_takes_query(&table[2], "cursor"));
        CHECK(!route_takes_query(&table[2], "curso"));
        CHECK(!route_takes_query(&table[2], "limit cursor"));
        CHECK(!route_takes_query(&table[2], ""));
        CHECK(!route_takes_query(&table[0], "limit"));
}

/* What the table itself promises. */
static void test_table(void) {
        size_t n;
        const Route *routes = routes_all(&n);

        CHECK(n > 40);
        for (size_t i = 0; i < n; i++) {
                CHECK(routes[i].handler);
                CHECK(routes[i].pattern[0] == '/');
                CHECK(access_to_string(routes[i].access));
                /* What anybody may call takes little. */
                if (routes[i].access == ACCESS_PUBLIC)
                        CHECK(routes[i].body_max <= 64U << 10);
                for (size_t k = 0; k < i; k++)
                        CHECK(!(routes[i].method & routes[k].method) ||
                              !streq(routes[i].pattern, routes[k].pattern));
        }
}

int main(void) {
        RUN(test_literals);
        RUN(test_prefixes);
        RUN(test_methods);
        RUN(test_ids);
        RUN(test_tails);
        RUN(test_query_names);
        RUN(test_table);
        return 0;
}
