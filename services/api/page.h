#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Lists in pages: ?limit=&cursor= in, next_cursor out. The cursor is the key of the last row given: rows
 * that come or go between two pages neither repeat nor hide others. */

#include "services/api/request.h"

#define PAGE_LIMIT_DEFAULT 100U
#define PAGE_LIMIT_MAX 500U

typedef struct Page {
        size_t limit;
        uint64_t cursor; /* 0: the first page */
} Page;

/* Pure; NULL texts are absent. -EINVAL: limit, -ERANGE: cursor is not one. */
int page_parse(const char *limit, const char *cursor, Page *ret) _warn_unused_;
/* From the query; answers with 400 and gives -EBADMSG where it is wrong. */
int page_from_request(Request *r, Page *ret) _warn_unused_;
/* {"items":[…],"next_cursor":…}; takes items. n rows were asked for with limit + 1, so one too many says
 * that there is more; last is the key of the last row in items. */
json_t *page_to_json(json_t *items, bool more, uint64_t last);
