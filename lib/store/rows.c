/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rows.h"

int row_exists(Store *s, Sql sql, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, sql);
        bind_u64(&q, id);
        return query_step(&q);
}

int list_page(Store *s, Sql sql, uint64_t after_id, size_t limit, const RowType *type, void *ret_items,
              size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(type);

        query_start(&q, s, sql);
        bind_u64(&q, after_id);
        bind_i64(&q, list_limit(limit));
        return query_rows(&q, type, ret_items, ret_n);
}

int query_text(Query *q, char **ret) {
        char *text;
        int r;

        assert(q);
        assert(ret);

        r = query_step(q);
        if (r == 0)
                return STORE_E_NOT_FOUND;
        if (r != 1)
                return r;
        text = column_text(q);
        if (q->error < 0)
                return q->error;
        *ret = text;
        return 0;
}

int query_ids(Query *q, uint64_t *ids, size_t n, size_t *ret_n) {
        size_t i = 0;
        int r;

        assert(q);
        assert(ids || n == 0);
        assert(ret_n);

        for (;;) {
                r = query_step(q);
                if (r != 1)
                        break;
                if (i >= n) {
                        r = 0;
                        break;
                }
                ids[i++] = column_u64(q);
                if (q->error < 0)
                        return q->error;
        }
        if (r != 0)
                return r;
        *ret_n = i;
        return 0;
}
