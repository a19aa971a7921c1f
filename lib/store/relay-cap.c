/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/relay-cap.h"
#include "store/rows.h"

void relay_cap_done(RelayCap *c) {
        assert(c);

        free(c->prefix);
        free(c->target_type);
        free(c->target_config);
        *c = RELAY_CAP_NULL;
}

static void relay_cap_read(Query *q, void *item) {
        RelayCap *c = item;

        c->command_id = column_u64(q);
        c->attempt = column_u32(q);
        c->target_id = column_u64(q);
        c->prefix = column_text(q);
        c->verbs = column_u32(q);
        c->node_id = column_u64(q);
        c->run_id = column_u64(q);
        c->current_attempt = column_u32(q);
        c->target_type = column_text(q);
        c->target_config = column_text(q);
}

static void relay_cap_row_done(void *item) {
        relay_cap_done(item);
}

static const RowType relay_cap_type = { sizeof(RelayCap), relay_cap_read, relay_cap_row_done };

int relay_cap_add(Store *s, const RelayCap *c, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(c && c->prefix);
        assert(hash);

        query_start(&q, s, SQL_RELAY_CAP_ADD);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_u64(&q, c->command_id);
        bind_u64(&q, c->attempt);
        bind_u64(&q, c->target_id);
        bind_text(&q, c->prefix);
        bind_u64(&q, c->verbs);
        bind_u64(&q, now);
        r = query_exec(&q);
        return r == STORE_E_IN_USE ? STORE_E_NOT_FOUND : r;
}

int relay_cap_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], uint32_t attempt, RelayCap *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(hash);
        assert(ret);

        query_start(&q, s, SQL_RELAY_CAP_FIND);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_u64(&q, attempt);
        return query_row(&q, &relay_cap_type, ret);
}

/* --- Locks --- */

int relay_lock_add(Store *s, uint64_t target_id, const char *key, uint64_t command_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(key);

        query_start(&q, s, SQL_RELAY_LOCK_ADD);
        bind_u64(&q, target_id);
        bind_text(&q, key);
        bind_u64(&q, command_id);
        return query_exec(&q);
}

int relay_lock_find(Store *s, uint64_t target_id, const char *key, uint64_t *ret_command_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(key);
        assert(ret_command_id);

        query_start(&q, s, SQL_RELAY_LOCK_FIND);
        bind_u64(&q, target_id);
        bind_text(&q, key);
        r = query_step(&q);
        if (r <= 0)
                return r < 0 ? r : (int) STORE_E_NOT_FOUND;
        *ret_command_id = column_u64(&q);
        return q.error;
}

int relay_lock_forget(Store *s, uint64_t target_id, const char *key) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(key);

        query_start(&q, s, SQL_RELAY_LOCK_DELETE);
        bind_u64(&q, target_id);
        bind_text(&q, key);
        return query_exec(&q);
}
