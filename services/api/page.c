/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
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
                return request_refused(request_fail_field(r, ERROR_QUERY_INVALID, "limit",
                                                          "limit is a number from 1 to %u.",
                                                          PAGE_LIMIT_MAX));
        return request_refused(request_fail_field(r, ERROR_QUERY_INVALID, "cursor",
                                                  "cursor is the next_cursor of an earlier answer."));
}

void page_add(Page *page, uint64_t key, json_t *item) {
        _cleanup_json_ json_t *owned = item;

        assert(page);

        if (page->n++ >= page->limit)
                return;
        if (!page->items)
                page->items = json_array();
        if (json_append(page->items, TAKE_PTR(owned)) < 0)
                page->failed = true;
        page->last = key;
}

int page_reply(Request *r, Page *page) {
        return page_reply_with(r, page, /* more= */ NULL);
}

int page_reply_with(Request *r, Page *page, const json_t *more) {
        _cleanup_json_ json_t *data = json_object();
        char cursor[24]; /* of a 64 bit number */

        assert(r);
        assert(page);

        (void) snprintf(cursor, sizeof(cursor), "%" PRIu64, page->last);
        if (page->failed ||
            json_set(data, "items", page->items ? TAKE_PTR(page->items) : json_array()) < 0 ||
            json_set(data, "next_cursor",
                     page->n > page->limit ? json_from_string(cursor) : json_null()) < 0)
                return -ENOMEM;
        if (more && json_object_update(data, (json_t *) more) < 0)
                return -ENOMEM;
        return request_reply(r, MHD_HTTP_OK, TAKE_PTR(data));
}

void page_done(Page *page) {
        if (!page)
                return;
        json_decref(page->items);
        *page = PAGE_NULL;
}
