/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/rows.h"
#include "store/run.h"
#include "store/stored-repository.h"

/* How far back a lock may count: half an hour, in which a node has seldom as many runs. */
#define ENDED_RUNS 256

void stored_repository_done(StoredRepository *r) {
        assert(r);

        free(r->prefix);
        free(r->chunker);
        free(r->sealed);
        *r = STORED_REPOSITORY_NULL;
}

static void repository_read(Query *q, void *item) {
        StoredRepository *r = item;

        r->id = column_u64(q);
        r->node_id = column_u64(q);
        r->target_id = column_u64(q);
        r->prefix = column_text(q);
        r->chunker = column_text(q);
        r->sealed = column_text(q);
        r->created = column_u64(q);
        r->pruned = column_u64(q);
        r->has_snapshots = column_bool(q);
}

static void repository_row_done(void *item) {
        stored_repository_done(item);
}

static const RowType repository_type = { sizeof(StoredRepository), repository_read, repository_row_done };

int stored_repository_add(Store *s, const StoredRepository *r, uint64_t *ret_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int k;

        assert(s);
        assert(r && r->prefix && r->chunker && r->sealed);
        assert(ret_id);

        query_start(&q, s, SQL_REPOSITORY_ADD);
        bind_u64(&q, r->node_id);
        bind_u64(&q, r->target_id);
        bind_text(&q, r->prefix);
        bind_text(&q, r->chunker);
        bind_text(&q, r->sealed);
        bind_u64(&q, r->created);
        k = query_exec(&q);
        if (k == 0)
                *ret_id = query_last_id(&q);
        return k;
}

int stored_repository_find(Store *s, uint64_t node_id, uint64_t target_id, StoredRepository *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_REPOSITORY_FIND);
        bind_u64(&q, node_id);
        bind_u64(&q, target_id);
        return query_row(&q, &repository_type, ret);
}

int stored_repository_first(Store *s, uint64_t node_id, StoredRepository *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_REPOSITORY_FIRST);
        bind_u64(&q, node_id);
        return query_row(&q, &repository_type, ret);
}

int stored_repository_set_pruned(Store *s, uint64_t node_id, uint64_t target_id, usec_t at) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_REPOSITORY_SET_PRUNED);
        bind_u64(&q, node_id);
        bind_u64(&q, target_id);
        bind_u64(&q, at);
        return query_exec(&q);
}

int stored_repository_list_ended(Store *s, uint64_t node_id, size_t max, char ***ret) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_REPOSITORY_ENDED);
        bind_u64(&q, node_id);
        bind_i64(&q, ENDED_RUNS);
        bind_i64(&q, list_limit(max));
        while ((r = query_step(&q)) == 1) {
                _cleanup_(freep) char *name = column_text(&q);

                r = name ? strv_extend(&names, name) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(names);
        return 0;
}

/* --- Snapshots --------------------------------------------------------------------------------------- */

static void snapshot_read(Query *q, void *item) {
        StoredSnapshot *x = item;

        x->key = column_u64(q);
        x->id = column_text(q);
        x->run_id = column_u64(q);
        x->task_id = column_u64(q);
        x->task_name = column_text(q);
        x->node_id = column_u64(q);
        x->node_name = column_text(q);
        x->target_id = column_u64(q);
        x->target_name = column_text(q);
        x->run_state = column_enum(q, _RUN_STATE_MAX);
        x->finished = column_u64(q);
        x->files = column_u64(q);
        x->bytes_new = column_u64(q);
        x->bytes_total = column_u64(q);
}

static void snapshot_row_done(void *item) {
        StoredSnapshot *x = item;

        free(x->id);
        free(x->task_name);
        free(x->node_name);
        free(x->target_name);
}

static const RowType snapshot_type = { sizeof(StoredSnapshot), snapshot_read, snapshot_row_done };

void stored_snapshot_list_done(StoredSnapshotList *l) {
        assert(l);

        rows_free(&snapshot_type, l->items, l->n);
        *l = STORED_SNAPSHOT_LIST_NULL;
}

int stored_snapshots_list(Store *s, const StoredSnapshotFilter *filter, uint64_t before, size_t limit,
                          StoredSnapshotList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(filter);
        assert(ret);

        query_start(&q, s, SQL_SNAPSHOTS_LIST);
        bind_u64(&q, before == 0 ? INT64_MAX : before);
        bind_u64(&q, filter->node_id);
        bind_u64(&q, filter->task_id);
        bind_u64(&q, filter->target_id);
        bind_i64(&q, list_limit(limit));
        return query_rows(&q, &snapshot_type, &ret->items, &ret->n);
}

int stored_snapshots_set_listed(Store *s, uint64_t node_id, uint64_t target_id, const char *ids,
                                usec_t until) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL, count = QUERY_NULL;
        int r;

        assert(s);
        assert(ids);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        query_start(&q, s, SQL_SNAPSHOTS_SET_LISTED);
        bind_u64(&q, node_id);
        bind_u64(&q, target_id);
        bind_text(&q, ids);
        bind_u64(&q, until);
        r = query_exec(&q);
        if (r != 0)
                return r;
        query_start(&count, s, SQL_RUNS_COUNT_ARCHIVES);
        bind_u64(&count, node_id);
        bind_u64(&count, target_id);
        r = query_exec(&count);
        return r != 0 ? r : store_commit(&tx);
}
