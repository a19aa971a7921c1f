/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/parse.h"

#include "services/api/query.h"

int query_number(Request *r, const char *name, uint64_t max, uint64_t *ret) {
        const char *text = request_query(r, name);

        assert(ret);

        if (!text || parse_u64(text, 0, max, ret) >= 0)
                return 0;
        return request_refused(request_fail_field(r, ERROR_QUERY_INVALID, name,
                                                  "%s is a number from 0 to %" PRIu64 ".", name, max));
}

int query_id(Request *r, const char *name, uint64_t *ret) {
        const char *text = request_query(r, name);

        assert(ret);

        if (!text || parse_u64(text, 1, INT64_MAX, ret) >= 0)
                return 0;
        return request_refused(request_fail_field(r, ERROR_QUERY_INVALID, name,
                                                  "%s is an id: a number from 1.", name));
}
