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

        /* The answer as it grows. */
        json_t *items;
        size_t n;      /* rows that were added, the one too many included */
        uint64_t last; /* the key of the last row in items */
        bool failed;   /* out of memory */
} Page;

#define PAGE_NULL ((Page){})

/* Pure; NULL texts are absent. -EINVAL: limit, -ERANGE: cursor is not one. */
int page_parse(const char *limit, const char *cursor, Page *ret) _warn_unused_;
/* From the query; answers with 400 and gives -EBADMSG where it is wrong. */
int page_from_request(Request *r, Page *ret) _warn_unused_;
/* How many rows to ask the store for: one more than is shown says whether there is another page. */
static inline size_t page_rows(const Page *page) {
        return page->limit + 1;
}
/* Adds a row by its key; item is taken over, NULL is out of memory. */
void page_add(Page *page, uint64_t key, json_t *item);
/* Answers with {"items":[…],"next_cursor":…}. */
int page_reply(Request *r, Page *page) _warn_unused_;
/* The same with further fields beside items (NULL: none). */
int page_reply_with(Request *r, Page *page, const json_t *more) _warn_unused_;
void page_done(Page *page);
