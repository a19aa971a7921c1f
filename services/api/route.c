/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"

#include "services/api/route.h"
#include "services/api/uri.h"

static const struct {
        Method method;
        const char *name;
} methods[] = {
        { METHOD_GET, "GET" },
        { METHOD_HEAD, "HEAD" },
        { METHOD_POST, "POST" },
        { METHOD_PUT, "PUT" },
        { METHOD_DELETE, "DELETE" },
};

static const char *const access_table[_ACCESS_MAX] = {
        [ACCESS_PUBLIC] = "public",
        [ACCESS_VIEWER] = "viewer",
        [ACCESS_OPERATOR] = "operator",
        [ACCESS_ADMIN] = "admin",
        [ACCESS_NODE] = "node",
        [ACCESS_RELAY] = "relay",
};

const char *access_to_string(Access a) {
        return a < _ACCESS_MAX ? access_table[a] : NULL;
}

Method method_from_string(const char *s) {
        assert(s);

        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (streq(methods[i].name, s))
                        return methods[i].method;
        return _METHOD_INVALID;
}

char *method_format(Method set, char buf[static ROUTE_ALLOW_MAX]) {
        char *p = buf;

        *p = 0;
        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (set & methods[i].method)
                        p += sprintf(p, "%s%s", p > buf ? ", " : "", methods[i].name);
        return buf;
}

bool route_takes_query(const Route *route, const char *name) {
        size_t n;

        assert(route);
        assert(name);

        n = strlen(name);
        for (const char *s = strempty(route->query); *s;) {
                size_t k = strcspn(s, " ");

                if (k == n && memcmp(s, name, n) == 0)
                        return true;
                s += k + (s[k] == ' ');
        }
        return false;
}

void route_match_done(RouteMatch *m) {
        assert(m);

        for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++)
                free(m->params[i]);
        *m = ROUTE_MATCH_NULL;
}

static int take_param(RouteMatch *m, size_t *n, const char *value, size_t size, bool is_id) {
        int r;

        assert(m);
        assert(*n < ROUTE_PARAMS_MAX);

        r = percent_decode(value, size, /* plus= */ false, &m->params[*n]);
        if (r < 0)
                return r;
        if (is_id && (m->params[*n][0] == '0' || parse_u64(m->params[*n], 1, INT64_MAX, &m->id) < 0))
                return ROUTE_E_NOT_FOUND;
        (*n)++;
        return 0;
}

/* One segment of a pattern (n bytes) against one of a path (*size bytes; a tail takes all). */
static int match_segment(const char *pattern, size_t n, const char *path, size_t *size, RouteMatch *m,
                         size_t *n_params) {
        if (pattern[0] != '{')
                return n == *size && memcmp(pattern, path, n) == 0 ? 0 : ROUTE_E_NOT_FOUND;
        if (pattern[n - 2] == '*')
                *size = strlen(path);
        else if (*size == 0)
                return ROUTE_E_NOT_FOUND;
        return take_param(m, n_params, path, *size, startswith(pattern, "{id}"));
}

/* Whether what stands in front of the first parameter of a pattern begins the path, too: of a long table
 * nearly all rows end here. */
static bool may_match(const char *pattern, const char *path) {
        while (*pattern && *pattern != '{' && *pattern == *path) {
                pattern++;
                path++;
        }
        return *pattern ? *pattern == '{' : !*path;
}

/* One pattern against one path: 0, ROUTE_E_NOT_FOUND or -errno. Both begin with a slash. */
static int match_pattern(const char *pattern, const char *path, RouteMatch *ret) {
        _cleanup_(route_match_done) RouteMatch m = ROUTE_MATCH_NULL;
        size_t n_params = 0;

        if (!may_match(pattern, path))
                return ROUTE_E_NOT_FOUND;
        while (*pattern && *path) {
                size_t n = strcspn(++pattern, "/"), size = strcspn(++path, "/");
                int r;

                r = match_segment(pattern, n, path, &size, &m, &n_params);
                if (r != 0)
                        return r;
                pattern += n;
                path += size;
        }
        if (*pattern || *path)
                return ROUTE_E_NOT_FOUND;
        *ret = m;
        m = ROUTE_MATCH_NULL;
        return 0;
}

static Method answered_methods(const Route *route) {
        return route->method & METHOD_GET ? route->method | METHOD_HEAD : route->method;
}

int route_match(const Route *routes, size_t n, Method method, const char *path, RouteMatch *ret) {
        Method allow = 0;

        assert(routes);
        assert(path);
        assert(ret);

        for (size_t i = 0; i < n; i++) {
                _cleanup_(route_match_done) RouteMatch m = ROUTE_MATCH_NULL;
                int r;

                r = match_pattern(routes[i].pattern, path, &m);
                if (r < 0)
                        return r;
                if (r == ROUTE_E_NOT_FOUND)
                        continue;
                allow |= answered_methods(&routes[i]);
                if (!(answered_methods(&routes[i]) & method))
                        continue;
                m.route = &routes[i];
                m.allow = allow;
                *ret = m;
                m = ROUTE_MATCH_NULL;
                return 0;
        }
        if (allow == 0)
                return ROUTE_E_NOT_FOUND;
        ret->allow = allow;
        return ROUTE_E_METHOD;
}
