/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "store/recovery.h"
#include "store/rows.h"

static void identity_read(Query *q, void *item) {
        RecoveryIdentity *x = item;

        x->node_id = column_u64(q);
        x->node_name = column_text(q);
        x->hostname = column_text(q);
        x->recipient = column_text(q);
        x->sealed = column_text(q);
}

static void identity_done(void *item) {
        RecoveryIdentity *x = item;

        free(x->node_name);
        free(x->hostname);
        free(x->recipient);
        free(x->sealed);
}

static void target_row_read(Query *q, void *item) {
        RecoveryTarget *x = item;

        x->id = column_u64(q);
        x->name = column_text(q);
        x->type = column_text(q);
        x->config = column_text(q);
        x->sealed = column_text(q);
}

static void target_row_done(void *item) {
        RecoveryTarget *x = item;

        free(x->name);
        free(x->type);
        free(x->config);
        free(x->sealed);
}

static void repository_read(Query *q, void *item) {
        RecoveryRepository *x = item;

        x->id = column_u64(q);
        x->node_id = column_u64(q);
        x->node_name = column_text(q);
        x->target_id = column_u64(q);
        x->prefix = column_text(q);
        x->sealed = column_text(q);
        x->created = column_u64(q);
}

static void repository_done(void *item) {
        RecoveryRepository *x = item;

        free(x->node_name);
        free(x->prefix);
        free(x->sealed);
}

static void place_read(Query *q, void *item) {
        RecoveryPlace *x = item;

        x->key = column_u64(q);
        x->run_id = column_u64(q);
        x->target_id = column_u64(q);
        x->target_name = column_text(q);
        x->node_id = column_u64(q);
        x->node_name = column_text(q);
        x->task_name = column_text(q);
        x->finished = column_u64(q);
        x->prefix = column_text(q);
        x->snapshot = column_text(q);
        x->sha256 = column_text(q);
        x->encrypted = column_bool(q);
}

static void place_done(void *item) {
        RecoveryPlace *x = item;

        free(x->target_name);
        free(x->node_name);
        free(x->task_name);
        free(x->prefix);
        free(x->snapshot);
        free(x->sha256);
}

/* One kind of rows: each begins with the number that lists go up by. */
typedef struct Kind {
        Sql sql;
        RowType type;
} Kind;

static const Kind identities = { SQL_RECOVERY_IDENTITIES,
                                 { sizeof(RecoveryIdentity), identity_read, identity_done } };
static const Kind targets = { SQL_RECOVERY_TARGETS,
                              { sizeof(RecoveryTarget), target_row_read, target_row_done } };
static const Kind repositories = { SQL_RECOVERY_REPOSITORIES,
                                   { sizeof(RecoveryRepository), repository_read, repository_done } };
static const Kind places = { SQL_RECOVERY_PLACES, { sizeof(RecoveryPlace), place_read, place_done } };

static int read_page(Store *s, const Kind *kind, uint64_t after, void *ret_items, size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, kind->sql);
        bind_u64(&q, after);
        bind_i64(&q, list_limit(STORE_LIST_MAX));
        return query_rows(&q, &kind->type, ret_items, ret_n);
}

/* All rows, page by page; *items and *n grow. */
static int read_all(Store *s, const Kind *kind, void *items, size_t *n) {
        char **all = items;
        uint64_t after = 0;

        assert(kind);
        assert(n);

        for (;;) {
                char *page = NULL;
                size_t got = 0;
                char *grown;
                int r;

                r = read_page(s, kind, after, &page, &got);
                if (r < 0 || got == 0) {
                        free(page);
                        return r;
                }
                grown = *n + got > RECOVERY_MAX ?
                                NULL :
                                reallocarray(*all, *n + got, kind->type.size);
                if (!grown) {
                        rows_free(&kind->type, page, got);
                        return *n + got > RECOVERY_MAX ? -E2BIG : -ENOMEM;
                }
                memcpy(grown + *n * kind->type.size, page, got * kind->type.size);
                free(page);
                *all = grown;
                *n += got;
                memcpy(&after, grown + (*n - 1) * kind->type.size, sizeof(after));
        }
}

void recovery_data_done(RecoveryData *d) {
        assert(d);

        rows_free(&identities.type, d->identities, d->n_identities);
        rows_free(&targets.type, d->targets, d->n_targets);
        rows_free(&repositories.type, d->repositories, d->n_repositories);
        rows_free(&places.type, d->places, d->n_places);
        *d = RECOVERY_DATA_NULL;
}

static int read_kinds(Store *s, RecoveryData *d) {
        int r;

        assert(d);

        r = read_all(s, &identities, &d->identities, &d->n_identities);
        if (r >= 0)
                r = read_all(s, &targets, &d->targets, &d->n_targets);
        if (r >= 0)
                r = read_all(s, &repositories, &d->repositories, &d->n_repositories);
        return r < 0 ? r : read_all(s, &places, &d->places, &d->n_places);
}

int recovery_data_read(Store *s, RecoveryData *ret) {
        _cleanup_(recovery_data_done) RecoveryData d = RECOVERY_DATA_NULL;
        int r, end;

        assert(s);
        assert(ret);

        r = store_raw(s, "BEGIN"); /* it writes nothing: store_begin() would want the writer's lock */
        if (r < 0)
                return r;
        r = read_kinds(s, &d);
        end = store_raw(s, "ROLLBACK");
        if (r < 0 || end < 0)
                return r < 0 ? r : end;
        *ret = d;
        d = RECOVERY_DATA_NULL;
        return 0;
}
