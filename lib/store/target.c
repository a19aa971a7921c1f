/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/text.h"
#include "store/rows.h"
#include "store/target.h"

void target_done(Target *t) {
        assert(t);

        free(t->name);
        free(t->type);
        free(t->config);
        free(t->secret_names);
        free(t->test_result);
        *t = TARGET_NULL;
}

static void target_read(Query *q, void *item) {
        Target *t = item;

        t->id = column_u64(q);
        t->name = column_text(q);
        t->type = column_text(q);
        t->config = column_text(q);
        t->has_secrets = column_bool(q);
        t->secret_names = column_text(q);
        t->created = column_u64(q);
        t->updated = column_u64(q);
        t->revision = column_u64(q);
        t->tested = column_u64(q);
        t->test_ok = column_bool(q);
        t->test_result = column_text(q);
}

static void target_row_done(void *item) {
        target_done(item);
}

static const RowType target_type = { sizeof(Target), target_read, target_row_done };

void target_list_done(TargetList *l) {
        assert(l);

        rows_free(&target_type, l->items, l->n);
        *l = TARGET_LIST_NULL;
}

int target_add(Store *s, const Target *t, const char *secrets_sealed, uint64_t *ret_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(t && t->name && t->type && t->config);
        assert(ret_id);

        query_start(&q, s, SQL_TARGET_ADD);
        bind_text(&q, t->name);
        bind_text(&q, t->type);
        bind_text(&q, t->config);
        bind_text(&q, isempty(secrets_sealed) ? NULL : secrets_sealed);
        bind_u64(&q, t->created);
        bind_text(&q, isempty(secrets_sealed) ? NULL : t->secret_names);
        r = query_exec(&q);
        if (r == 0)
                *ret_id = query_last_id(&q);
        return r;
}

int target_get(Store *s, uint64_t id, Target *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_TARGET_GET);
        bind_u64(&q, id);
        return query_row(&q, &target_type, ret);
}

int target_find(Store *s, const char *name, Target *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(name);
        assert(ret);

        query_start(&q, s, SQL_TARGET_FIND);
        bind_text(&q, name);
        return query_row(&q, &target_type, ret);
}

int targets_newest(Store *s, usec_t *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_TARGETS_NEWEST);
        r = query_step(&q);
        if (r < 0)
                return r;
        *ret = column_u64(&q);
        return q.error;
}

int targets_list(Store *s, uint64_t after_id, size_t limit, TargetList *ret) {
        assert(ret);

        return list_page(s, SQL_TARGETS_LIST, after_id, limit, &target_type, &ret->items, &ret->n);
}

int target_update(Store *s, const Target *t, const char *secrets_sealed) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(t && t->name && t->type && t->config);

        query_start(&q, s, SQL_TARGET_UPDATE);
        bind_u64(&q, t->id);
        bind_text(&q, t->name);
        bind_text(&q, t->type);
        bind_text(&q, t->config);
        bind_u64(&q, t->updated);
        bind_text(&q, secrets_sealed);
        bind_text(&q, isempty(secrets_sealed) ? NULL : t->secret_names);
        return query_exec_one(&q);
}

int target_set_tested(Store *s, uint64_t id, bool ok, const char *result, usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_TARGET_SET_TESTED);
        bind_u64(&q, id);
        bind_i64(&q, ok);
        bind_text(&q, result);
        bind_u64(&q, now);
        return query_exec_one(&q);
}

int target_delete(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);

        query_start(&q, s, SQL_TARGET_DELETE);
        bind_u64(&q, id);
        r = query_exec_one(&q);
        if (r != STORE_E_NOT_FOUND)
                return r;
        r = row_exists(s, SQL_TARGET_EXISTS, id);
        if (r < 0)
                return r;
        return r == 1 ? STORE_E_IN_USE : STORE_E_NOT_FOUND;
}

int target_get_secrets(Store *s, uint64_t id, char **ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_TARGET_SECRETS);
        bind_u64(&q, id);
        return query_text(&q, ret);
}
