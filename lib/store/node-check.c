/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/node-check.h"
#include "store/rows.h"

void node_check_done(NodeCheck *c) {
        assert(c);

        free(c->source);
        free(c->summary);
        free(c->report);
        *c = NODE_CHECK_NULL;
}

static void node_check_read(Query *q, void *item) {
        NodeCheck *c = item;

        c->node_id = column_u64(q);
        c->at = column_u64(q);
        c->state = column_u32(q);
        c->source = column_text(q);
        c->summary = column_text(q);
        c->report = column_text(q);
}

static void node_check_row_done(void *item) {
        node_check_done(item);
}

static const RowType node_check_type = { sizeof(NodeCheck), node_check_read, node_check_row_done };

int node_check_set(Store *s, const NodeCheck *c) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(c);
        assert(c->source && c->report);

        query_start(&q, s, SQL_NODE_CHECK_SET);
        bind_u64(&q, c->node_id);
        bind_u64(&q, c->at);
        bind_u64(&q, c->state);
        bind_text(&q, c->source);
        bind_text(&q, c->summary);
        bind_text(&q, c->report);
        r = query_exec(&q);
        return r == STORE_E_IN_USE ? (int) STORE_E_NOT_FOUND : r;
}

int node_check_get(Store *s, uint64_t node_id, NodeCheck *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_NODE_CHECK_GET);
        bind_u64(&q, node_id);
        return query_row(&q, &node_check_type, ret);
}

int node_checks_failed(Store *s, uint64_t after_node_id, uint64_t *ids, size_t n, size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ids || n == 0);
        assert(ret_n);

        query_start(&q, s, SQL_NODE_CHECKS_FAILED);
        bind_u64(&q, after_node_id);
        bind_u64(&q, n);
        return query_ids(&q, ids, n, ret_n);
}
