/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/api-key.h"
#include "store/rows.h"

void api_key_done(ApiKey *k) {
        assert(k);

        free(k->username);
        free(k->name);
        *k = API_KEY_NULL;
}

static void api_key_read(Query *q, void *item) {
        ApiKey *k = item;

        k->id = column_u64(q);
        k->user_id = column_u64(q);
        k->username = column_text(q);
        k->name = column_text(q);
        k->role = (UserRole) column_enum(q, _USER_ROLE_MAX);
        k->created = column_u64(q);
        k->expires = column_u64(q);
        k->last_used = column_u64(q);
}

static void api_key_row_done(void *item) {
        api_key_done(item);
}

static const RowType api_key_type = { sizeof(ApiKey), api_key_read, api_key_row_done };

void api_key_list_done(ApiKeyList *l) {
        assert(l);

        rows_free(&api_key_type, l->items, l->n);
        *l = API_KEY_LIST_NULL;
}

int api_key_add(Store *s, const ApiKey *k, const uint8_t hash[static TOKEN_HASH_SIZE], uint64_t *ret_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(k && k->name);
        assert(hash);
        assert(ret_id);

        query_start(&q, s, SQL_API_KEY_ADD);
        bind_u64(&q, k->user_id);
        bind_text(&q, k->name);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_i64(&q, k->role);
        bind_u64(&q, k->created);
        bind_u64(&q, k->expires);
        r = query_exec(&q);
        if (r == 0)
                *ret_id = query_last_id(&q);
        return r == STORE_E_IN_USE ? STORE_E_NOT_FOUND : r;
}

int api_key_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now, ApiKey *ret,
                 User *ret_user) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        _cleanup_(api_key_done) ApiKey k = API_KEY_NULL;
        int r;

        assert(s);
        assert(hash);
        assert(ret);
        assert(ret_user);

        query_start(&q, s, SQL_API_KEY_FIND);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_u64(&q, now);
        r = query_row(&q, &api_key_type, &k);
        if (r != 0)
                return r;
        r = user_get(s, k.user_id, ret_user);
        if (r != 0)
                return r;
        *ret = k;
        k = API_KEY_NULL;
        return 0;
}

int api_key_get(Store *s, uint64_t id, ApiKey *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_API_KEY_GET);
        bind_u64(&q, id);
        return query_row(&q, &api_key_type, ret);
}

int api_keys_list(Store *s, uint64_t user_id, uint64_t after_id, size_t limit, ApiKeyList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_API_KEYS_LIST);
        bind_u64(&q, after_id);
        bind_u64(&q, user_id);
        bind_i64(&q, list_limit(limit));
        return query_rows(&q, &api_key_type, &ret->items, &ret->n);
}

int api_key_used(Store *s, uint64_t id, usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_API_KEY_USED);
        bind_u64(&q, id);
        bind_u64(&q, now);
        return query_exec_one(&q);
}

int api_key_delete(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_API_KEY_DELETE);
        bind_u64(&q, id);
        return query_exec_one(&q);
}
