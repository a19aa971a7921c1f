/* SPDX-License-Identifier: Apache-2.0 */

/* What the dispatcher does to runs. Each move is one statement that names the states it may start from;
 * where it matches nothing somebody was faster (STORE_E_STATE). */

#include <errno.h>

#include "store/rows.h"
#include "store/run.h"

int run_set_command(Store *s, uint64_t id, uint64_t command_id, const char *spec) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_RUN_SET_COMMAND);
        bind_u64(&q, id);
        bind_u64(&q, command_id);
        bind_text(&q, spec);
        return query_exec_or(&q, STORE_E_STATE);
}

/* A move with the run's id as its only parameter. */
static int run_move(Store *s, Sql sql, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, sql);
        bind_u64(&q, id);
        return query_exec_or(&q, STORE_E_STATE);
}

static int run_move_at(Store *s, Sql sql, uint64_t id, usec_t at) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, sql);
        bind_u64(&q, id);
        bind_u64(&q, at);
        return query_exec_or(&q, STORE_E_STATE);
}

int run_set_node(Store *s, uint64_t id, uint64_t node_id, const char *node_name) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(node_name);

        query_start(&q, s, SQL_RUN_SET_NODE);
        bind_u64(&q, id);
        bind_u64(&q, node_id);
        bind_text(&q, node_name);
        return query_exec_or(&q, STORE_E_STATE);
}

int run_set_waiting(Store *s, uint64_t id, const char *why) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_RUN_SET_WAITING);
        bind_u64(&q, id);
        bind_text(&q, why);
        return query_exec_or(&q, STORE_E_STATE);
}

int run_requeue(Store *s, uint64_t id) {
        return run_move(s, SQL_RUN_REQUEUE, id);
}

int run_go_on(Store *s, uint64_t id) {
        return run_move(s, SQL_RUN_GO_ON, id);
}

int run_set_queued(Store *s, uint64_t id) {
        return run_move(s, SQL_RUN_SET_QUEUED, id);
}

int run_set_dispatched(Store *s, uint64_t id, usec_t at) {
        return run_move_at(s, SQL_RUN_SET_DISPATCHED, id, at);
}

int run_set_running(Store *s, uint64_t id, usec_t at) {
        return run_move_at(s, SQL_RUN_SET_RUNNING, id, at);
}

int run_set_cancel(Store *s, uint64_t id) {
        return run_move(s, SQL_RUN_SET_CANCEL, id);
}

static int kept_out(Store *s, Sql sql, uint64_t id, uint64_t node_id, bool is_value) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        query_start(&q, s, sql);
        bind_u64(&q, id);
        bind_u64(&q, node_id);
        r = query_step(&q);
        return r == 1 && is_value ? (int) column_bool(&q) : r;
}

int run_is_kept_out(Store *s, const Run *run, uint64_t node_id) {
        assert(s);
        assert(run);

        if (run->kind == RUN_PRUNE)
                return kept_out(s, SQL_RUN_PRUNE_IS_KEPT_OUT, run->id, node_id, /* is_value= */ true);
        return kept_out(s, SQL_RUN_IS_KEPT_OUT, run->id, node_id, /* is_value= */ false);
}

/* Targets that hold an archive: such a run is never cleaned up. */
static size_t run_archives(const RunEnd *end) {
        size_t n = 0;

        for (size_t i = 0; i < end->n_targets; i++)
                n += end->targets[i].state == RUN_TARGET_SUCCEEDED;
        return n;
}

static int run_finish_row(Store *s, uint64_t id, const RunEnd *end, usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(end);

        query_start(&q, s, SQL_RUN_FINISH);
        bind_u64(&q, id);
        bind_i64(&q, end->state);
        bind_text(&q, end->error_code);
        bind_text(&q, end->error);
        bind_u64(&q, end->bytes_read);
        bind_u64(&q, end->bytes_written);
        bind_u64(&q, end->files);
        bind_u64(&q, end->skipped);
        bind_u64(&q, end->errors_total);
        bind_text(&q, end->errors);
        bind_text(&q, end->objects);
        bind_text(&q, end->manifest_sha256);
        bind_u64(&q, end->first_read);
        bind_u64(&q, now);
        bind_u64(&q, run_archives(end));
        bind_text(&q, end->format);
        bind_u64(&q, end->files_new);
        bind_u64(&q, end->files_changed);
        bind_u64(&q, end->files_unchanged);
        bind_u64(&q, end->bytes_new);
        bind_u64(&q, end->bytes_total);
        return query_exec_or(&q, STORE_E_STATE);
}

static int run_finish_target(Store *s, uint64_t id, const RunTarget *t) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(t);

        query_start(&q, s, SQL_RUN_TARGET_FINISH);
        bind_u64(&q, id);
        bind_u64(&q, t->target_id);
        bind_i64(&q, t->state);
        bind_text(&q, t->key);
        bind_u64(&q, t->size);
        bind_text(&q, t->sha256);
        bind_text(&q, t->error_code);
        bind_text(&q, t->error);
        bind_text(&q, t->snapshot);
        return query_exec(&q);
}

static int run_fail_targets(Store *s, uint64_t id, const RunEnd *end) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_RUN_TARGETS_FAIL);
        bind_u64(&q, id);
        bind_text(&q, end->error_code);
        bind_text(&q, end->error);
        return query_exec(&q);
}

int run_finish(Store *s, uint64_t id, const RunEnd *end, usec_t now) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        assert(s);
        assert(end);
        assert(run_state_is_final(end->state) && end->state < _RUN_STATE_MAX);
        assert(end->targets || end->n_targets == 0);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = run_finish_row(s, id, end, now);
        for (size_t i = 0; r == 0 && i < end->n_targets; i++)
                r = run_finish_target(s, id, &end->targets[i]);
        if (r == 0)
                r = run_fail_targets(s, id, end);
        if (r != 0)
                return r;
        return store_commit(&tx);
}
