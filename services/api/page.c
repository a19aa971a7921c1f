/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"

#include "services/api/page.h"

int page_parse(const char *limit, const char *cursor, Page *ret) {
        Page page = { .limit = PAGE_LIMIT_DEFAULT };
        uint32_t n;

        assert(ret);

        if (limit) {
                if (parse_u32(limit, 1, PAGE_LIMIT_MAX, &n) < 0)
                        return -EINVAL;
                page.limit = n;
        }
        if (cursor && parse_u64(cursor, 1, INT64_MAX, &page.cursor) < 0)
                return -ERANGE;
        *ret = page;
        return 0;
}

int page_from_request(Request *r, Page *ret) {
        int error;

        assert(r);
        assert(ret);

        error = page_parse(request_query(r, "limit"), request_query(r, "cursor"), ret);
        if (error == 0)
                return 0;
        if (error == -EINVAL)
                error = request_fail_field(r, ERROR_QUERY_INVALID, "limit",
                                           "limit is a number from 1 to %u.", PAGE_LIMIT_MAX);
        else
                error = request_fail_field(r, ERROR_QUERY_INVALID, "cursor",
                                           "cursor is the next_cursor of an earlier answer.");
        return error < 0 ? error : -EBADMSG;
}

json_t *page_to_json(json_t *items, bool more, uint64_t last) {
        _cleanup_json_ json_t *page = json_object();
        char text[24];

        if (json_set(page, "items", items) < 0)
                return NULL;
        (void) snprintf(text, sizeof(text), "%" PRIu64, last);
        if (json_set(page, "next_cursor", more ? json_from_string(text) : json_null()) < 0)
                return NULL;
        return TAKE_PTR(page);
}
