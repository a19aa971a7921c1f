#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/store alone: pieces that several entities bind and read. */

#include "store/db.h"
#include "store/stamp.h"

void bind_stamp(Query *q, const Stamp *stamp);
void column_stamp(Query *q, Stamp *ret);

/* A statement with one number as its only parameter and one row at most: 1 when there is a row. */
int row_exists(Store *s, Sql sql, uint64_t id) _warn_unused_;

/* A statement whose parameters are the id to begin behind and the most rows: all it gives, as an array. */
int list_page(Store *s, Sql sql, uint64_t after_id, size_t limit, const RowType *type, void *ret_items,
              size_t *ret_n) _warn_unused_;

/* One text of one row: ret is NULL for NULL; STORE_E_NOT_FOUND without a row. */
int query_text(Query *q, char **ret) _warn_unused_;
/* Up to n ids, one a row. */
int query_ids(Query *q, uint64_t *ids, size_t n, size_t *ret_n) _warn_unused_;
