#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Prints what the API answered: lists as tables, single objects as lines of names and values. */

#include "cli/api.h"

typedef enum ColumnKind {
        COLUMN_TEXT,
        COLUMN_NUMBER,
        COLUMN_SIZE, /* bytes */
        COLUMN_TIME, /* RFC 3339 */
        COLUMN_SPAN, /* from one time to another: "started_at finished_at" */
        COLUMN_FLAG, /* yes or nothing */
        COLUMN_LIST, /* texts or numbers, joined with commas */
} ColumnKind;

typedef struct Column {
        const char *title;
        const char *field; /* dotted; "a|b": the first one that is there */
        ColumnKind kind;
} Column;

/* The value at a dotted path, or NULL. */
const json_t *show_lookup(const json_t *object, const char *path);
/* A value as the kind of column shows it; *ret may become NULL for nothing. */
int show_value(const json_t *object, const Column *column, char **ret) _warn_unused_;

/* The items of a list; with --json an array. */
int show_list(const Cli *c, const json_t *items, const Column *columns, size_t n_columns) _warn_unused_;
/* All fields of an object, nested ones indented; with --json the object. */
int show_object(const Cli *c, const json_t *object) _warn_unused_;
/* The JSON that --json asks for, indented. */
int show_json(const json_t *json) _warn_unused_;
