#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Aligned tables of text. Widths are those of a terminal: a wide character takes two columns, a combining
 * one none. Control characters and bytes that are no UTF-8 are shown as \xHH, so that no name can drive a
 * terminal. */

#include <stdio.h>

#include "base/macros.h"

typedef struct Table {
        size_t n_columns;
        char **cells; /* row by row, titles first; freed with the table */
        size_t n_cells;
        size_t allocated;
        uint64_t right; /* bit i: column i is aligned to the right */
} Table;

#define TABLE_COLUMNS_MAX 16
#define TABLE_NULL ((Table){})
void table_done(Table *t);

/* Adds the next cell; a copy of text is made safe. NULL is shown as a dash. */
int table_add(Table *t, const char *text) _warn_unused_;
int table_print(const Table *t, FILE *file) _warn_unused_;

/* The columns that text takes on a terminal, and text made safe for one. */
size_t text_width(const char *text);
int text_safe(const char *text, char **ret) _warn_unused_;
