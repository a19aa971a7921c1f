/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/rows.h"
#include "store/schedule.h"

void schedule_done(Schedule *x) {
        assert(x);

        free(x->task_name);
        free(x->expression);
        free(x->timezone);
        free(x->error);
        *x = SCHEDULE_NULL;
}

static void schedule_read(Query *q, void *item) {
        Schedule *x = item;

        x->task_id = column_u64(q);
        x->task_name = column_text(q);
        x->expression = column_text(q);
        x->timezone = column_text(q);
        x->catch_up = column_bool(q);
        x->task_enabled = column_bool(q);
        x->task_revision = column_u64(q);
        x->task_updated = column_u64(q);
        x->revision = column_u64(q);
        x->next = column_u64(q);
        x->last = column_u64(q);
        x->error = column_text(q);
        x->kind = (ScheduleKind) column_enum(q, _SCHEDULE_KIND_MAX);
        x->shares = column_u32(q);
}

static void schedule_row_done(void *item) {
        schedule_done(item);
}

static const RowType schedule_type = { sizeof(Schedule), schedule_read, schedule_row_done };

void schedule_list_done(ScheduleList *l) {
        assert(l);

        rows_free(&schedule_type, l->items, l->n);
        *l = SCHEDULE_LIST_NULL;
}

int schedules_list(Store *s, ScheduleKind kind, uint64_t after_task_id, size_t limit, ScheduleList *ret) {
        Sql sql = kind == SCHEDULE_VERIFY ? SQL_VERIFIES_LIST : SQL_SCHEDULES_LIST;

        assert(ret);

        return list_page(s, sql, after_task_id, limit, &schedule_type, &ret->items, &ret->n);
}

int schedule_get(Store *s, ScheduleKind kind, uint64_t task_id, Schedule *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, kind == SCHEDULE_VERIFY ? SQL_VERIFY_GET : SQL_SCHEDULE_GET);
        bind_u64(&q, task_id);
        return query_row(&q, &schedule_type, ret);
}

int schedule_put(Store *s, const Schedule *x) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(x);

        query_start(&q, s, x->kind == SCHEDULE_VERIFY ? SQL_VERIFY_PUT : SQL_SCHEDULE_PUT);
        bind_u64(&q, x->task_id);
        bind_u64(&q, x->revision);
        bind_u64(&q, x->next);
        bind_u64(&q, x->last);
        bind_text(&q, x->error);
        return query_exec_one(&q);
}
