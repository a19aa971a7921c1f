/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/db.h"

int sqlite_to_errno(int rc) {
        switch (rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL:
                return -EBUSY;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_PERM:
        case SQLITE_AUTH:
        case SQLITE_CANTOPEN:
                return -EACCES;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_TOOBIG:
                return -EFBIG;
        case SQLITE_RANGE:
        case SQLITE_MISMATCH:
        case SQLITE_MISUSE:
        case SQLITE_CONSTRAINT: /* those that are outcomes were told before */
                return -EINVAL;
        default:
                return -EIO;
        }
}

static void query_fail(Query *q, int error) {
        if (q->error == 0)
                q->error = error;
}

void query_start(Query *q, Store *s, Sql sql) {
        assert(q);
        assert(s);
        assert(sql >= 0 && sql < _SQL_MAX);

        *q = (Query){ .store = s, .stmt = s->statements[sql] };

        if (!q->stmt) {
                q->error = -EPERM;
                return;
        }
        /* An inner statement that failed hard (no space, no memory) may have undone the whole transaction.
         * What follows in it must not be committed on its own. */
        if (s->depth > 0 && sqlite3_get_autocommit(s->db)) {
                q->error = -ECANCELED;
                q->stmt = NULL;
                return;
        }
        assert(!sqlite3_stmt_busy(q->stmt));
}

void query_done(Query *q) {
        assert(q);

        if (q->stmt) {
                (void) sqlite3_reset(q->stmt);
                (void) sqlite3_clear_bindings(q->stmt);
        }
        *q = QUERY_NULL;
}

static void query_bound(Query *q, int rc) {
        if (rc != SQLITE_OK)
                query_fail(q, sqlite_to_errno(rc));
}

void bind_i64(Query *q, int64_t v) {
        assert(q);

        q->bound++;
        if (q->error == 0)
                query_bound(q, sqlite3_bind_int64(q->stmt, q->bound, v));
}

void bind_u64(Query *q, uint64_t v) {
        assert(q);

        if (v > INT64_MAX)
                query_fail(q, -ERANGE);
        bind_i64(q, (int64_t) v);
}

void bind_id(Query *q, uint64_t v) {
        assert(q);

        if (v != 0) {
                bind_u64(q, v);
                return;
        }
        q->bound++;
        if (q->error == 0)
                query_bound(q, sqlite3_bind_null(q->stmt, q->bound));
}

void bind_text(Query *q, const char *v) {
        size_t n;

        assert(q);

        n = v ? strlen(v) : 0;
        if (n > STORE_TEXT_MAX)
                query_fail(q, -EFBIG);
        q->bound++;
        if (q->error == 0)
                query_bound(q, sqlite3_bind_text(q->stmt, q->bound, v, (int) n, SQLITE_TRANSIENT));
}

void bind_blob(Query *q, const void *p, size_t n) {
        assert(q);

        if (n > STORE_TEXT_MAX)
                query_fail(q, -EFBIG);
        q->bound++;
        if (q->error == 0)
                query_bound(q, sqlite3_bind_blob(q->stmt, q->bound, p, (int) n, SQLITE_TRANSIENT));
}

int query_step(Query *q) {
        int rc;

        assert(q);

        if (q->error < 0)
                return q->error;
        /* Parameters that were forgotten would be NULL, without a word. */
        assert(q->bound == sqlite3_bind_parameter_count(q->stmt));

        rc = sqlite3_step(q->stmt);
        q->column = 0;
        switch (rc) {
        case SQLITE_ROW:
                return 1;
        case SQLITE_DONE:
                return 0;
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY:
                return STORE_E_EXISTS;
        case SQLITE_CONSTRAINT_FOREIGNKEY:
        case SQLITE_CONSTRAINT_TRIGGER: /* ON DELETE RESTRICT */
                return STORE_E_IN_USE;
        default:
                q->error = sqlite_to_errno(rc);
                return q->error;
        }
}

int query_exec(Query *q) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        assert(q);

        if (q->error < 0)
                return q->error;
        if (q->store->depth == 0) {
                r = store_begin(q->store, &tx);
                if (r < 0)
                        return r;
        }

        assert(sqlite3_column_count(q->stmt) == 0);
        r = query_step(q);
        if (r != 0)
                return r;
        /* Committing with a statement that was not reset keeps its read lock. */
        (void) sqlite3_reset(q->stmt);
        return tx.store ? store_commit(&tx) : 0;
}

int query_exec_or(Query *q, int outcome) {
        int r;

        r = query_exec(q);
        if (r != 0)
                return r;
        return query_changes(q) > 0 ? 0 : outcome;
}

int query_exec_one(Query *q) {
        return query_exec_or(q, STORE_E_NOT_FOUND);
}

uint64_t query_changes(const Query *q) {
        assert(q);

        return (uint64_t) sqlite3_changes64(q->store->db);
}

uint64_t query_last_id(const Query *q) {
        assert(q);

        return (uint64_t) sqlite3_last_insert_rowid(q->store->db);
}

int64_t column_i64(Query *q) {
        assert(q);

        return sqlite3_column_int64(q->stmt, q->column++);
}

uint64_t column_u64(Query *q) {
        int64_t v = column_i64(q);

        if (v < 0)
                query_fail(q, -EUCLEAN);
        return v < 0 ? 0 : (uint64_t) v;
}

uint32_t column_u32(Query *q) {
        uint64_t v = column_u64(q);

        if (v > UINT32_MAX)
                query_fail(q, -EUCLEAN);
        return (uint32_t) v;
}

bool column_bool(Query *q) {
        return column_i64(q) != 0;
}

char *column_text(Query *q) {
        const unsigned char *text;
        char *copy;
        int n;

        assert(q);

        if (sqlite3_column_type(q->stmt, q->column) == SQLITE_NULL) {
                q->column++;
                return NULL;
        }
        text = sqlite3_column_text(q->stmt, q->column);
        n = sqlite3_column_bytes(q->stmt, q->column);
        q->column++;
        copy = text ? memdup0(text, (size_t) n) : NULL;
        if (!copy)
                query_fail(q, -ENOMEM);
        return copy;
}

int column_enum(Query *q, int max) {
        int64_t v = column_i64(q);

        if (v < 0 || v >= max) {
                query_fail(q, -EUCLEAN);
                return 0;
        }
        return (int) v;
}

int query_row(Query *q, const RowType *type, void *ret) {
        _cleanup_(freep) void *item = NULL;
        int r;

        assert(q);
        assert(type);
        assert(ret);

        r = query_step(q);
        if (r == 0)
                return STORE_E_NOT_FOUND;
        if (r != 1)
                return r;

        item = calloc(1, type->size);
        if (!item)
                return -ENOMEM;
        type->read(q, item);
        if (q->error < 0) {
                type->done(item);
                return q->error;
        }
        memcpy(ret, item, type->size);
        return 0;
}

void rows_free(const RowType *type, void *items, size_t n) {
        assert(type);

        for (size_t i = 0; items && i < n; i++)
                type->done((char *) items + i * type->size);
        free(items);
}

/* Makes room for one more zeroed item. */
static int rows_grow(char **items, size_t n, size_t *allocated, size_t size) {
        size_t wanted;
        char *grown;

        if (n < *allocated)
                return 0;
        wanted = *allocated == 0 ? 16 : *allocated * 2;
        grown = reallocarray(*items, wanted, size);
        if (!grown)
                return -ENOMEM;
        memset(grown + n * size, 0, (wanted - n) * size);
        *items = grown;
        *allocated = wanted;
        return 0;
}

int query_rows(Query *q, const RowType *type, void *ret_items, size_t *ret_n) {
        size_t n = 0, allocated = 0;
        char *items = NULL;
        int r;

        assert(q);
        assert(type);
        assert(ret_items);
        assert(ret_n);

        for (;;) {
                r = query_step(q);
                if (r != 1)
                        break;
                r = rows_grow(&items, n, &allocated, type->size);
                if (r < 0)
                        break;
                type->read(q, items + n * type->size);
                n++;
                if (q->error < 0) {
                        r = q->error;
                        break;
                }
        }
        if (r != 0) {
                rows_free(type, items, n);
                return r;
        }
        *(void **) ret_items = items;
        *ret_n = n;
        return 0;
}
