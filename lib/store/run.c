/* SPDX-License-Identifier: Apache-2.0 */

/* Runs: rows that the scheduler adds and everybody reads; run-move.c moves them on. */

#include <errno.h>
#include <stdlib.h>

#include "store/rows.h"
#include "store/run.h"

static const char *const run_kind_table[_RUN_KIND_MAX] = {
        [RUN_BACKUP] = "backup",
        [RUN_RESTORE] = "restore",
        [RUN_VERIFY] = "verify",
        [RUN_PRUNE] = "prune",
};

static const char *const run_state_table[_RUN_STATE_MAX] = {
        [RUN_QUEUED] = "queued",
        [RUN_DISPATCHED] = "dispatched",
        [RUN_RUNNING] = "running",
        [RUN_SUCCEEDED] = "succeeded",
        [RUN_PARTIAL] = "partial",
        [RUN_FAILED] = "failed",
        [RUN_CANCELLED] = "cancelled",
        [RUN_MISSED] = "missed",
        [RUN_INTERRUPTED] = "interrupted",
};

static const char *const run_target_state_table[_RUN_TARGET_STATE_MAX] = {
        [RUN_TARGET_PENDING] = "pending",
        [RUN_TARGET_SUCCEEDED] = "succeeded",
        [RUN_TARGET_FAILED] = "failed",
        [RUN_TARGET_REMOVED] = "removed",
};

DEFINE_STRING_TABLE(run_kind, RunKind);
DEFINE_STRING_TABLE(run_state, RunState);
DEFINE_STRING_TABLE(run_target_state, RunTargetState);

/* --- rows --- */

void run_target_done(RunTarget *t) {
        assert(t);

        free(t->target_name);
        free(t->key);
        free(t->sha256);
        free(t->snapshot);
        free(t->error_code);
        free(t->error);
        *t = (RunTarget){};
}

static void run_target_read(Query *q, void *item) {
        RunTarget *t = item;

        t->target_id = column_u64(q);
        t->target_name = column_text(q);
        t->state = (RunTargetState) column_enum(q, _RUN_TARGET_STATE_MAX);
        t->key = column_text(q);
        t->size = column_u64(q);
        t->sha256 = column_text(q);
        t->error_code = column_text(q);
        t->error = column_text(q);
        t->snapshot = column_text(q);
}

static void run_target_row_done(void *item) {
        run_target_done(item);
}

static const RowType run_target_type = { sizeof(RunTarget), run_target_read, run_target_row_done };

void run_target_list_done(RunTargetList *l) {
        assert(l);

        rows_free(&run_target_type, l->items, l->n);
        *l = RUN_TARGET_LIST_NULL;
}

void run_done(Run *r) {
        assert(r);

        free(r->task_name);
        free(r->node_name);
        free(r->node_label);
        free(r->waiting);
        free(r->origin);
        free(r->username);
        free(r->request);
        free(r->spec);
        free(r->error_code);
        free(r->error);
        free(r->errors);
        free(r->objects);
        free(r->manifest_sha256);
        free(r->format);
        *r = RUN_NULL;
}

static void run_read_result(Query *q, Run *r) {
        assert(r);

        r->error_code = column_text(q);
        r->error = column_text(q);
        r->bytes_read = column_u64(q);
        r->bytes_written = column_u64(q);
        r->files = column_u64(q);
        r->skipped = column_u64(q);
        r->errors_total = column_u64(q);
        r->errors = column_text(q);
        r->objects = column_text(q);
        r->manifest_sha256 = column_text(q);
        r->encrypted = column_bool(q);
        r->first_read = column_u64(q);
        r->node_label = column_text(q);
        r->waiting = column_text(q);
        r->archives = column_u64(q);
        r->format = column_text(q);
        r->files_new = column_u64(q);
        r->files_changed = column_u64(q);
        r->files_unchanged = column_u64(q);
        r->bytes_new = column_u64(q);
        r->bytes_total = column_u64(q);
}

static void run_read(Query *q, void *item) {
        Run *r = item;

        r->id = column_u64(q);
        r->kind = (RunKind) column_enum(q, _RUN_KIND_MAX);
        r->state = (RunState) column_enum(q, _RUN_STATE_MAX);
        r->task_id = column_u64(q);
        r->task_name = column_text(q);
        r->node_id = column_u64(q);
        r->node_name = column_text(q);
        r->origin = column_text(q);
        r->user_id = column_u64(q);
        r->username = column_text(q);
        r->scheduled_for = column_u64(q);
        r->deadline = column_u64(q);
        r->source_run = column_u64(q);
        r->request = column_text(q);
        r->spec = column_text(q);
        r->queued = column_u64(q);
        r->dispatched = column_u64(q);
        r->started = column_u64(q);
        r->finished = column_u64(q);
        r->cancel = column_bool(q);
        r->command_id = column_u64(q);
        r->attempt = column_u32(q);
        run_read_result(q, r);
}

static void run_row_done(void *item) {
        run_done(item);
}

static const RowType run_type = { sizeof(Run), run_read, run_row_done };

void run_list_done(RunList *l) {
        assert(l);

        rows_free(&run_type, l->items, l->n);
        *l = RUN_LIST_NULL;
}

static void run_work_read(Query *q, void *item) {
        RunWork *w = item;

        run_read(q, &w->run);
        w->command_state = sqlite3_column_type(q->stmt, q->column) == SQLITE_NULL ? -1 : (int) column_i64(q);
}

static void run_work_done(void *item) {
        RunWork *w = item;

        run_done(&w->run);
}

static const RowType run_work_type = { sizeof(RunWork), run_work_read, run_work_done };

void run_work_list_done(RunWorkList *l) {
        assert(l);

        rows_free(&run_work_type, l->items, l->n);
        *l = RUN_WORK_LIST_NULL;
}

/* --- the scheduler --- */

static int run_exists_for(Store *s, const RunNew *n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_RUN_OF_ELAPSE);
        bind_u64(&q, n->task_id);
        bind_u64(&q, n->scheduled_for);
        bind_i64(&q, n->kind);
        return query_step(&q);
}

int run_is_open(Store *s, uint64_t task_id, RunKind kind) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_RUN_OPEN_OF_TASK);
        bind_u64(&q, task_id);
        bind_i64(&q, kind);
        return query_step(&q);
}

/* Why run_add() inserted nothing. The elapse comes first: whoever decides it again is to see that it was
 * decided. */
static int run_add_refused(Store *s, const RunNew *n) {
        int r;

        assert(n);

        if (n->source_run != 0) {
                r = row_exists(s, SQL_RUN_EXISTS, n->source_run);
                if (r < 0)
                        return r;
                return r == 1 ? (int) STORE_E_NOT_FOUND : (int) RUN_E_SOURCE;
        }
        r = row_exists(s, SQL_TASK_EXISTS, n->task_id);
        if (r <= 0)
                return r < 0 ? r : (int) RUN_E_TASK;
        r = run_exists_for(s, n);
        if (r != 0)
                return r < 0 ? r : (int) RUN_E_EXISTS;
        r = run_is_open(s, n->task_id, n->kind);
        if (r < 0)
                return r;
        return r == 1 ? (int) RUN_E_OVERLAP : (int) STORE_E_NOT_FOUND;
}

static int run_insert(Store *s, const RunNew *n, usec_t now, uint64_t *ret_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(n);

        query_start(&q, s, n->source_run != 0 ? SQL_RUN_ADD_FROM_RUN : SQL_RUN_ADD);
        bind_i64(&q, n->kind);
        bind_i64(&q, n->state);
        bind_u64(&q, n->source_run != 0 ? n->source_run : n->task_id);
        bind_u64(&q, n->node_id);
        bind_text(&q, n->origin);
        bind_id(&q, n->user_id);
        bind_text(&q, n->username);
        bind_id(&q, n->scheduled_for);
        bind_u64(&q, n->deadline);
        bind_text(&q, n->request);
        bind_text(&q, n->error_code);
        bind_text(&q, n->error);
        bind_u64(&q, now);
        r = query_exec(&q);
        if (r == STORE_E_EXISTS)
                return RUN_E_EXISTS;
        if (r != 0)
                return r;
        if (query_changes(&q) == 0)
                return STORE_E_NOT_FOUND;
        *ret_id = query_last_id(&q);
        return 0;
}

static int run_copy_targets(Store *s, uint64_t id, uint64_t task_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_RUN_TARGETS_COPY);
        bind_u64(&q, id);
        bind_u64(&q, task_id);
        return query_exec(&q);
}

int run_add(Store *s, const RunNew *n, usec_t now, uint64_t *ret_id) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        uint64_t id = 0;
        int r;

        assert(s);
        assert(n);
        assert(n->state == RUN_QUEUED || n->state == RUN_MISSED);
        assert(ret_id);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = run_insert(s, n, now, &id);
        if (r == STORE_E_NOT_FOUND)
                return run_add_refused(s, n);
        if (r != 0)
                return r;
        if (n->kind == RUN_BACKUP && n->state == RUN_QUEUED) {
                r = run_copy_targets(s, id, n->task_id);
                if (r != 0)
                        return r;
        }
        r = store_commit(&tx);
        if (r < 0)
                return r;
        *ret_id = id;
        return 0;
}

int runs_list_retain(Store *s, size_t limit, RunList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_RUNS_LIST_RETAIN);
        bind_i64(&q, list_limit(limit));
        return query_rows(&q, &run_type, &ret->items, &ret->n);
}

int run_set_retained(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_RUN_SET_RETAINED);
        bind_u64(&q, id);
        return query_exec(&q);
}

int run_prune_waits(Store *s, uint64_t node_id, uint64_t task_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_RUN_PRUNE_WAITS);
        bind_u64(&q, node_id);
        bind_u64(&q, task_id);
        return query_step(&q);
}

int run_newest_stored(Store *s, uint64_t task_id, uint64_t *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        size_t n = 0;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_RUN_NEWEST_STORED);
        bind_u64(&q, task_id);
        r = query_ids(&q, ret, 1, &n);
        return r == 0 && n == 0 ? (int) STORE_E_NOT_FOUND : r;
}

int run_last_check(Store *s, uint64_t task_id, char **ret_request) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret_request);

        query_start(&q, s, SQL_RUN_LAST_CHECK);
        bind_u64(&q, task_id);
        return query_text(&q, ret_request);
}

/* --- reading --- */

int run_get(Store *s, uint64_t id, Run *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_RUN_GET);
        bind_u64(&q, id);
        return query_row(&q, &run_type, ret);
}

int run_targets_get(Store *s, uint64_t run_id, RunTargetList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_RUN_TARGETS_GET);
        bind_u64(&q, run_id);
        return query_rows(&q, &run_target_type, &ret->items, &ret->n);
}

/* One statement for each index that can serve the filter. */
static Sql runs_list_sql(const RunFilter *f) {
        if (f->states != 0 && (f->states & ~RUN_STATES_OPEN) == 0)
                return SQL_RUNS_LIST_OPEN;
        if (f->task_id != 0)
                return SQL_RUNS_LIST_OF_TASK;
        return f->node_id != 0 ? SQL_RUNS_LIST_OF_NODE : SQL_RUNS_LIST;
}

int runs_list(Store *s, const RunFilter *filter, uint64_t before_id, size_t limit, RunList *ret) {
        static const RunFilter all = { .kind = -1 };
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        if (!filter)
                filter = &all;
        query_start(&q, s, runs_list_sql(filter));
        bind_u64(&q, before_id == 0 ? INT64_MAX : before_id);
        bind_u64(&q, filter->states == 0 ? RUN_STATE_BIT(_RUN_STATE_MAX) - 1 : filter->states);
        bind_i64(&q, filter->kind);
        bind_u64(&q, filter->node_id);
        bind_i64(&q, list_limit(limit));
        bind_u64(&q, filter->task_id);
        return query_rows(&q, &run_type, &ret->items, &ret->n);
}

int runs_list_work(Store *s, uint64_t after_id, size_t limit, RunWorkList *ret) {
        assert(ret);

        return list_page(s, SQL_RUNS_LIST_WORK, after_id, limit, &run_work_type, &ret->items, &ret->n);
}

int runs_count(Store *s, uint64_t ret[static _RUN_STATE_MAX]) {
        uint64_t counts[_RUN_STATE_MAX] = {};
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_RUNS_COUNT);
        for (;;) {
                int state;

                r = query_step(&q);
                if (r <= 0)
                        break;
                state = column_enum(&q, _RUN_STATE_MAX);
                counts[state] = column_u64(&q);
        }
        if (r < 0 || q.error < 0)
                return r < 0 ? r : q.error;
        memcpy(ret, counts, sizeof(counts));
        return 0;
}

static void run_total_read(Query *q, void *item) {
        RunTotal *t = item;

        t->kind = (RunKind) column_enum(q, _RUN_KIND_MAX);
        t->type = column_text(q);
        t->state = (RunState) column_enum(q, _RUN_STATE_MAX);
        t->value = column_u64(q);
}

static void run_total_done(void *item) {
        RunTotal *t = item;

        free(t->type);
}

static const RowType run_total_type = { sizeof(RunTotal), run_total_read, run_total_done };

void run_total_list_done(RunTotalList *l) {
        assert(l);

        rows_free(&run_total_type, l->items, l->n);
        *l = RUN_TOTAL_LIST_NULL;
}

int run_totals_list(Store *s, RunTotalList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_RUN_TOTALS);
        bind_i64(&q, STORE_LIST_MAX);
        return query_rows(&q, &run_total_type, &ret->items, &ret->n);
}

int run_queued_of_command(Store *s, uint64_t command_id, usec_t *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_RUN_QUEUED_OF_COMMAND);
        bind_u64(&q, command_id);
        r = query_step(&q);
        if (r <= 0)
                return r < 0 ? r : (int) STORE_E_NOT_FOUND;
        *ret = column_u64(&q);
        return q.error;
}
