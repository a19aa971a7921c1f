/* SPDX-License-Identifier: Apache-2.0 */

/* The target of a request, through the parser and the real route table. */

#include "base/alloc.h"
#include "services/api/routes.h"
#include "services/api/uri.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size);
        _cleanup_(uri_done) Uri uri = URI_NULL;
        size_t n;
        const Route *routes = routes_all(&n);

        if (uri_parse(text, &uri) < 0)
                return 0;
        CHECK(uri.path[0] == '/');
        for (Method m = METHOD_GET; m <= METHOD_DELETE; m <<= 1) {
                _cleanup_(route_match_done) RouteMatch match = ROUTE_MATCH_NULL;
                int r;

                r = route_match(routes, n, m, uri.path, &match);
                CHECK((r == 0) == (match.route != NULL));
                CHECK(r != ROUTE_E_METHOD || (match.allow != 0 && !(match.allow & m)));
                CHECK(r != 0 || !strstr(match.route->pattern, "{id}") || match.id > 0);
        }
        return 0;
}
