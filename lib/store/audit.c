/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/audit.h"
#include "store/rows.h"

void audit_entry_done(AuditEntry *e) {
        assert(e);

        free(e->username);
        free(e->address);
        free(e->action);
        free(e->object_type);
        free(e->object_name);
        free(e->detail);
        *e = AUDIT_ENTRY_NULL;
}

static void audit_entry_read(Query *q, void *item) {
        AuditEntry *e = item;

        e->id = column_u64(q);
        e->at = column_u64(q);
        e->user_id = column_u64(q);
        e->username = column_text(q);
        e->address = column_text(q);
        e->action = column_text(q);
        e->object_type = column_text(q);
        e->object_id = column_u64(q);
        e->object_name = column_text(q);
        e->detail = column_text(q);
}

static void audit_entry_row_done(void *item) {
        audit_entry_done(item);
}

static const RowType audit_type = { sizeof(AuditEntry), audit_entry_read, audit_entry_row_done };

void audit_list_done(AuditList *l) {
        assert(l);

        rows_free(&audit_type, l->items, l->n);
        *l = AUDIT_LIST_NULL;
}

int audit_add(Store *s, const AuditEntry *e) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(e && e->action);

        query_start(&q, s, SQL_AUDIT_ADD);
        bind_u64(&q, e->at);
        bind_id(&q, e->user_id);
        bind_text(&q, e->username);
        bind_text(&q, e->address);
        bind_text(&q, e->action);
        bind_text(&q, e->object_type);
        bind_id(&q, e->object_id);
        bind_text(&q, e->object_name);
        bind_text(&q, e->detail);
        return query_exec(&q);
}

int audit_list(Store *s, const AuditFilter *filter, uint64_t before_id, size_t limit, AuditList *ret) {
        static const AuditFilter all = {};
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        if (!filter)
                filter = &all;
        query_start(&q, s, SQL_AUDIT_LIST);
        bind_u64(&q, before_id == 0 ? INT64_MAX : before_id);
        bind_u64(&q, filter->user_id);
        bind_text(&q, filter->object_type);
        bind_u64(&q, filter->object_id);
        bind_text(&q, filter->action);
        bind_i64(&q, list_limit(limit));
        return query_rows(&q, &audit_type, &ret->items, &ret->n);
}
