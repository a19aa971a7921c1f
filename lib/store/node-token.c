/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "store/node-token.h"
#include "store/rows.h"
#include "store/setting.h"

/* Which token of the machine node 1 was given. */
#define SETTING_LOCAL_TOKEN "api.local-token"

static void node_token_read(Query *q, void *item) {
        NodeToken *t = item;

        t->id = column_u64(q);
        t->node_id = column_u64(q);
        t->created = column_u64(q);
        t->first_used = column_u64(q);
        t->last_used = column_u64(q);
        t->valid_until = column_u64(q);
        t->node_enabled = column_bool(q);
}

static void node_token_done(void *item) {
}

static const RowType node_token_type = { sizeof(NodeToken), node_token_read, node_token_done };

static int tokens_replace(Store *s, uint64_t node_id, usec_t until) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_NODE_TOKENS_REPLACE);
        bind_u64(&q, node_id);
        bind_u64(&q, until);
        return query_exec(&q);
}

int node_token_add(Store *s, uint64_t node_id, const uint8_t hash[static TOKEN_HASH_SIZE],
                   const char *sealed, usec_t now, bool replace_now) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(hash);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = replace_now ? node_tokens_revoke(s, node_id) :
                          tokens_replace(s, node_id, usec_add(now, NODE_TOKEN_GRACE_USEC));
        if (r != 0)
                return r;

        query_start(&q, s, SQL_NODE_TOKEN_ADD);
        bind_u64(&q, node_id);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_u64(&q, now);
        bind_text(&q, sealed);
        r = query_exec(&q);
        if (r != 0)
                return r == STORE_E_IN_USE ? STORE_E_NOT_FOUND : r;
        return store_commit(&tx);
}

int node_token_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now, NodeToken *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(hash);
        assert(ret);

        query_start(&q, s, SQL_NODE_TOKEN_FIND);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_u64(&q, now);
        return query_row(&q, &node_token_type, ret);
}

int node_token_used(Store *s, uint64_t token_id, usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_NODE_TOKEN_USED);
        bind_u64(&q, token_id);
        bind_u64(&q, now);
        return query_exec_one(&q);
}

int nodes_token_old(Store *s, usec_t before, usec_t now, uint64_t *ids, size_t n, size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        size_t found = 0;
        int r;

        assert(s);
        assert(ids || n == 0);
        assert(ret_n);

        query_start(&q, s, SQL_NODES_TOKEN_OLD);
        bind_u64(&q, before);
        bind_u64(&q, now);
        bind_u64(&q, n);
        while ((r = query_step(&q)) > 0 && found < n)
                ids[found++] = column_u64(&q);
        if (r < 0 || q.error < 0)
                return r < 0 ? r : q.error;
        *ret_n = found;
        return 0;
}

int node_tokens_revoke(Store *s, uint64_t node_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_NODE_TOKENS_END);
        bind_u64(&q, node_id);
        return query_exec(&q);
}

static int local_token_is_known(Store *s, const char *hex) {
        _cleanup_(freep) char *known = NULL;
        int r;

        r = setting_get(s, SETTING_LOCAL_TOKEN, &known);
        if (r != 0)
                return r < 0 ? r : 0;
        return streq_ptr(known, hex);
}

int node_token_set_local(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        char hex[2 * TOKEN_HASH_SIZE + 1];
        NodeToken token;
        int r;

        assert(s);
        assert(hash);

        r = local_token_is_known(s, hex_encode(hash, TOKEN_HASH_SIZE, hex));
        if (r != 0)
                return MIN(r, 0);
        r = store_begin(s, &tx);
        if (r >= 0)
                r = node_token_find(s, hash, now, &token);
        if (r < 0)
                return r;
        if (r != 0 || token.node_id != NODE_LOCAL || token.valid_until != 0)
                r = node_token_add(s, NODE_LOCAL, hash, NULL, now, true);
        if (r == 0)
                r = setting_set(s, SETTING_LOCAL_TOKEN, hex);
        if (r == 0)
                r = store_commit(&tx);
        return r == 0 ? 1 : r;
}
