/* SPDX-License-Identifier: Apache-2.0 */

/* What is asked with every heartbeat and every second: little, for thousands of nodes. */

#include <stdlib.h>

#include "store/node.h"
#include "store/rows.h"

void node_greeting_done(NodeGreeting *g) {
        assert(g);

        free(g->name);
        free(g->public_key);
        free(g->sealed);
        *g = NODE_GREETING_NULL;
}

int node_greet(Store *s, uint64_t id, uint64_t old_token_id, NodeGreeting *ret) {
        _cleanup_(node_greeting_done) NodeGreeting g = NODE_GREETING_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_NODE_GREET);
        bind_u64(&q, id);
        bind_u64(&q, old_token_id);
        r = query_step(&q);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NOT_FOUND;
        g.name = column_text(&q);
        g.public_key = column_text(&q);
        g.state = (NodeState) column_enum(&q, _NODE_STATE_MAX);
        g.pin_open = column_bool(&q);
        g.limits.jobs = column_u32(&q);
        g.limits.bandwidth = column_u64(&q);
        g.limits.cpu_weight = column_u32(&q);
        g.limits.io_weight = column_u32(&q);
        g.has_cancels = column_bool(&q);
        g.sealed = column_text(&q);
        if (q.error < 0)
                return q.error;
        *ret = g;
        g = NODE_GREETING_NULL;
        return 0;
}

int nodes_count_online(Store *s, uint64_t *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_NODES_ONLINE);
        r = query_step(&q);
        if (r < 0)
                return r;
        *ret = column_u64(&q);
        return q.error;
}

int nodes_quietest(Store *s, const char *boot_id, usec_t *ret_mono) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        uint64_t online;
        int r;

        assert(s);
        assert(boot_id);
        assert(ret_mono);

        query_start(&q, s, SQL_NODES_QUIETEST);
        bind_text(&q, boot_id);
        r = query_step(&q);
        if (r < 0)
                return r;
        online = column_u64(&q);
        *ret_mono = online > 0 ? column_u64(&q) : USEC_INFINITY;
        return q.error;
}

int nodes_silent(Store *s, const char *boot_id, usec_t mono, uint64_t after_id, uint64_t *ids, size_t n,
                 size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(boot_id);
        assert(ids && n > 0);
        assert(ret_n);

        query_start(&q, s, SQL_NODES_SILENT);
        bind_text(&q, boot_id);
        bind_u64(&q, mono);
        bind_u64(&q, after_id);
        bind_u64(&q, n);
        return query_ids(&q, ids, n, ret_n);
}
