/* SPDX-License-Identifier: Apache-2.0 */
#include "store/enrollment.h"
#include "store/rows.h"

int enrollment_add(Store *s, uint64_t node_id, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now,
                   usec_t expires, uint64_t created_by) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(hash);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = node_open_pin(s, node_id);
        if (r != 0)
                return r;
        query_start(&q, s, SQL_ENROLLMENT_ADD);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_u64(&q, node_id);
        bind_u64(&q, now);
        bind_u64(&q, expires);
        bind_id(&q, created_by);
        r = query_exec(&q);
        if (r != 0)
                return r;
        return store_commit(&tx);
}

int enrollment_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now,
                    uint64_t *ret_node_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        uint64_t node_id;
        int r;

        assert(s);
        assert(hash);
        assert(ret_node_id);

        query_start(&q, s, SQL_ENROLLMENT_FIND);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        r = query_step(&q);
        if (r < 0)
                return r;
        if (r == 0)
                return STORE_E_NOT_FOUND;
        node_id = column_u64(&q);
        if (column_u64(&q) <= now)
                return ENROLLMENT_E_EXPIRED;
        *ret_node_id = node_id;
        return 0;
}

int enrollment_use(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], const char *public_key, usec_t now,
                   uint64_t *ret_node_id) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        uint64_t node_id;
        int r;

        assert(s);
        assert(hash);
        assert(public_key);
        assert(ret_node_id);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = enrollment_find(s, hash, now, &node_id);
        if (r != 0)
                return r;
        query_start(&q, s, SQL_ENROLLMENT_USE);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_text(&q, public_key);
        bind_u64(&q, now);
        r = query_exec_or(&q, ENROLLMENT_E_USED);
        if (r != 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        *ret_node_id = node_id;
        return 0;
}
