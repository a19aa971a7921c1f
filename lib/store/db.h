#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/store alone: the connection, its prepared statements, and the one way to bind, step and
 * read. A Query keeps the first error of its binds and reads, so that a function checks once:
 *
 *         _cleanup_(query_done) Query q = QUERY_NULL;
 *         query_start(&q, s, SQL_USER_GET);
 *         bind_u64(&q, id);
 *         return query_row(&q, user_read, ret);
 * / */

#include <sqlite3.h>

#include "store/statements.h"
#include "store/store.h"

struct Store {
        sqlite3 *db;
        StoreRole role;
        unsigned depth;    /* of transactions and savepoints */
        bool group;        /* the outermost one is the group's */
        usec_t busy_since; /* monotonic: a lock is waited for */
        size_t clean_next; /* clean-up goes on there */
        size_t clean_idle; /* its sweeps in a row that found nothing */
        sqlite3_stmt *statements[_SQL_MAX];
};

typedef struct Query {
        Store *store;
        sqlite3_stmt *stmt;
        int error;  /* the first one */
        int bound;  /* parameters so far */
        int column; /* the next to read */
} Query;

#define QUERY_NULL ((Query){})

/* Takes a prepared statement; one is in use once at a time. query_done() resets it: a SELECT that is not
 * reset keeps the WAL from being folded in. */
void query_start(Query *q, Store *s, Sql sql);
void query_done(Query *q);

void bind_i64(Query *q, int64_t v);
void bind_u64(Query *q, uint64_t v);
/* 0 is NULL. */
void bind_id(Query *q, uint64_t v);
/* NULL is NULL. */
void bind_text(Query *q, const char *v);
void bind_blob(Query *q, const void *p, size_t n);

/* 1: a row; 0: the end; negative errno; STORE_E_EXISTS: a unique constraint; STORE_E_IN_USE: a foreign key.
 */
int query_step(Query *q) _warn_unused_;
/* Runs a statement to its end, in a transaction of its own when there is none. */
int query_exec(Query *q) _warn_unused_;
/* The same, and STORE_E_NOT_FOUND when no row was changed. */
int query_exec_one(Query *q) _warn_unused_;
/* The same with another outcome for that. */
int query_exec_or(Query *q, int outcome) _warn_unused_;
uint64_t query_changes(const Query *q);
uint64_t query_last_id(const Query *q);

/* Reading, column by column, left to right. */
int64_t column_i64(Query *q);
uint64_t column_u64(Query *q);
uint32_t column_u32(Query *q);
bool column_bool(Query *q);
/* An allocated copy, NULL for NULL. */
char *column_text(Query *q);
/* An enum that must be under max. */
int column_enum(Query *q, int max);

/* Fills one struct from the current row; errors are kept in the query. */
typedef void (*RowRead)(Query *q, void *item);
typedef void (*RowDone)(void *item);

/* How to make structs of one entity. */
typedef struct RowType {
        size_t size;
        RowRead read;
        RowDone done;
} RowType;

/* The one row, or STORE_E_NOT_FOUND. ret is untouched on failure. */
int query_row(Query *q, const RowType *type, void *ret) _warn_unused_;
/* All rows, as an array. */
int query_rows(Query *q, const RowType *type, void *ret_items, size_t *ret_n) _warn_unused_;
void rows_free(const RowType *type, void *items, size_t n);

static inline int64_t list_limit(size_t limit) {
        return (int64_t) MIN(limit, (size_t) STORE_LIST_MAX);
}

/* From the codes of the library to errno; rc is an extended result code. */
int sqlite_to_errno(int rc);

/* SQL of ours without parameters and rows: migrations, pragmas; and tests that break things on purpose. */
int store_raw(Store *s, const char *sql) _warn_unused_;
/* The first column of the first row as a number; -ENODATA without a row. */
int store_raw_number(Store *s, const char *sql, int64_t *ret) _warn_unused_;

/* The ladder: step i leads from version i to version i + 1. */
int store_open_ladder(const char *path, StoreRole role, const char *const *steps, unsigned n_steps,
                      Store **ret, Failure *reterr_failure) _warn_unused_;

extern const char *const schema_steps[];
extern const unsigned schema_version;
