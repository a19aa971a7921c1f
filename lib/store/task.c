/* SPDX-License-Identifier: Apache-2.0 */

/* Tasks and what they point at. A task and its targets change in one transaction; the node and the targets
 * have to exist at that moment, and foreign keys see to it afterwards. A label stands for whatever nodes
 * have it. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "store/node.h"
#include "store/rows.h"
#include "store/task.h"

void task_done(Task *t) {
        assert(t);

        free(t->name);
        free(t->type);
        free(t->node_name);
        free(t->node_label);
        free(t->source);
        free(t->format);
        free(t->compression);
        free(t->encryption);
        free(t->options);
        free(t->retention);
        free(t->schedule_expression);
        free(t->schedule_timezone);
        free(t->verify_expression);
        free(t->verify_timezone);
        *t = TASK_NULL;
}

/* "3,1,7", from our own group_concat(). */
static void task_read_targets(Query *q, Task *t) {
        _cleanup_(freep) char *list = NULL;
        char *rest, *id;

        assert(q);
        assert(t);

        list = column_text(q);
        rest = list;
        while (rest && (id = strsep(&rest, ","))) {
                if (t->n_targets >= TASK_TARGETS_MAX ||
                    parse_u64(id, 1, INT64_MAX, &t->target_ids[t->n_targets]) < 0) {
                        q->error = -EUCLEAN;
                        return;
                }
                t->n_targets++;
        }
}

static void task_read(Query *q, void *item) {
        Task *t = item;

        t->id = column_u64(q);
        t->name = column_text(q);
        t->type = column_text(q);
        t->node_id = column_u64(q);
        t->node_name = column_text(q);
        t->node_label = column_text(q);
        t->source = column_text(q);
        t->format = column_text(q);
        t->compression = column_text(q);
        t->encryption = column_text(q);
        t->options = column_text(q);
        t->retention = column_text(q);
        t->enabled = column_bool(q);
        t->schedule_expression = column_text(q);
        t->schedule_timezone = column_text(q);
        t->schedule_catch_up = column_bool(q);
        t->verify_expression = column_text(q);
        t->verify_timezone = column_text(q);
        t->verify_catch_up = column_bool(q);
        t->verify_shares = column_u32(q);
        t->created = column_u64(q);
        t->updated = column_u64(q);
        t->revision = column_u64(q);
        task_read_targets(q, t);
        t->has_secrets = column_bool(q);
}

static void task_row_done(void *item) {
        task_done(item);
}

static const RowType task_type = { sizeof(Task), task_read, task_row_done };

void task_list_done(TaskList *l) {
        assert(l);

        rows_free(&task_type, l->items, l->n);
        *l = TASK_LIST_NULL;
}

static void bind_task(Query *q, const Task *t) {
        assert(t);

        bind_text(q, t->name);
        bind_text(q, t->type);
        bind_u64(q, t->node_label ? NODE_LOCAL : t->node_id);
        bind_text(q, t->node_label);
        bind_text(q, t->source);
        bind_text(q, t->format);
        bind_text(q, t->compression);
        bind_text(q, t->encryption);
        bind_text(q, t->options);
        bind_text(q, t->retention);
        bind_i64(q, t->enabled);
        bind_text(q, t->schedule_expression);
        bind_text(q, t->schedule_timezone);
        bind_i64(q, t->schedule_catch_up);
        bind_text(q, t->verify_expression);
        bind_text(q, t->verify_timezone);
        bind_i64(q, t->verify_catch_up);
        bind_u64(q, t->verify_shares);
}

static int task_target_add(Store *s, uint64_t id, size_t position, uint64_t target_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        query_start(&q, s, SQL_TASK_TARGET_ADD);
        bind_u64(&q, id);
        bind_u64(&q, position);
        bind_u64(&q, target_id);
        r = query_exec(&q);
        /* Not there, or named twice. */
        return r == STORE_E_IN_USE || r == STORE_E_EXISTS ? (int) TASK_E_TARGET : r;
}

static int task_set_targets(Store *s, uint64_t id, const Task *t) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(t);

        if (t->n_targets > TASK_TARGETS_MAX)
                return TASK_E_TARGET;
        query_start(&q, s, SQL_TASK_TARGETS_CLEAR);
        bind_u64(&q, id);
        r = query_exec(&q);
        for (size_t i = 0; r == 0 && i < t->n_targets; i++)
                r = task_target_add(s, id, i, t->target_ids[i]);
        return r;
}

int task_add(Store *s, const Task *t, uint64_t *ret_id) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        uint64_t id;
        int r;

        assert(s);
        assert(t);
        assert(ret_id);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        query_start(&q, s, SQL_TASK_ADD);
        bind_task(&q, t);
        bind_u64(&q, t->created);
        r = query_exec(&q);
        if (r != 0)
                return r == STORE_E_IN_USE ? (int) TASK_E_NODE : r;
        id = query_last_id(&q);
        r = task_set_targets(s, id, t);
        if (r != 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        *ret_id = id;
        return 0;
}

int task_update(Store *s, const Task *t) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(t);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        query_start(&q, s, SQL_TASK_UPDATE);
        bind_task(&q, t);
        bind_u64(&q, t->updated);
        bind_u64(&q, t->id);
        r = query_exec_one(&q);
        if (r != 0)
                return r == STORE_E_IN_USE ? (int) TASK_E_NODE : r;
        r = task_set_targets(s, t->id, t);
        if (r != 0)
                return r;
        return store_commit(&tx);
}

int task_set_secrets(Store *s, uint64_t id, const char *sealed) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_TASK_SET_SECRETS);
        bind_u64(&q, id);
        bind_text(&q, sealed);
        return query_exec_one(&q);
}

int task_get_secrets(Store *s, uint64_t id, char **ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_TASK_SECRETS);
        bind_u64(&q, id);
        return query_text(&q, ret);
}

int task_set_enabled(Store *s, uint64_t id, bool enabled, usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_TASK_SET_ENABLED);
        bind_u64(&q, id);
        bind_i64(&q, enabled);
        bind_u64(&q, now);
        return query_exec_one(&q);
}

int task_delete(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);

        query_start(&q, s, SQL_TASK_DELETE);
        bind_u64(&q, id);
        r = query_exec_one(&q);
        if (r != STORE_E_NOT_FOUND)
                return r;
        r = row_exists(s, SQL_TASK_EXISTS, id);
        if (r < 0)
                return r;
        return r == 1 ? (int) TASK_E_RUNNING : (int) STORE_E_NOT_FOUND;
}

int task_get(Store *s, uint64_t id, Task *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_TASK_GET);
        bind_u64(&q, id);
        return query_row(&q, &task_type, ret);
}

int task_find(Store *s, const char *name, Task *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(name);
        assert(ret);

        query_start(&q, s, SQL_TASK_FIND);
        bind_text(&q, name);
        return query_row(&q, &task_type, ret);
}

int tasks_list(Store *s, uint64_t after_id, size_t limit, TaskList *ret) {
        assert(ret);

        return list_page(s, SQL_TASKS_LIST, after_id, limit, &task_type, &ret->items, &ret->n);
}

int tasks_list_of_node(Store *s, uint64_t node_id, uint64_t after_id, size_t limit, TaskList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_TASKS_LIST_OF_NODE);
        bind_u64(&q, node_id);
        bind_u64(&q, after_id);
        bind_i64(&q, list_limit(limit));
        return query_rows(&q, &task_type, &ret->items, &ret->n);
}

/* --- summaries --- */

void task_summary_done(TaskSummary *t) {
        assert(t);

        free(t->task_name);
        free(t->node_name);
        *t = (TaskSummary){};
}

static void task_summary_read(Query *q, void *item) {
        TaskSummary *t = item;
        int64_t duration;

        t->task_id = column_u64(q);
        t->task_name = column_text(q);
        t->node_name = column_text(q);
        t->last_run_id = column_u64(q);
        t->last_state = (int) column_i64(q);
        t->last_finished = column_u64(q);
        t->last_success = column_u64(q);
        t->last_bytes = column_u64(q);
        /* Negative when the clock was set back in between. */
        duration = column_i64(q);
        t->last_duration = duration > 0 ? (usec_t) duration : 0;
}

static void task_summary_row_done(void *item) {
        task_summary_done(item);
}

static const RowType task_summary_type = { sizeof(TaskSummary), task_summary_read, task_summary_row_done };

void task_summary_list_done(TaskSummaryList *l) {
        assert(l);

        rows_free(&task_summary_type, l->items, l->n);
        *l = TASK_SUMMARY_LIST_NULL;
}

int task_summaries_list(Store *s, uint64_t after_id, size_t limit, TaskSummaryList *ret) {
        assert(ret);

        return list_page(s, SQL_TASK_SUMMARIES, after_id, limit, &task_summary_type, &ret->items, &ret->n);
}
