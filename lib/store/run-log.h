#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The log of a run: append only, numbered from 1, capped. The API appends what agents send; the dispatcher
 * appends its own lines. When the cap is reached one marker line says what was cut, and grows; a few lines
 * of the master still fit behind it. */

#include "store/store.h"

/* A job that logs more than this says the same thing again and again; twenty of them fit into memory and on
 * a page. */
#define RUN_LOG_LINES_MAX 20000U
#define RUN_LOG_BYTES_MAX (4U * 1024 * 1024)
/* A longer line is cut and ends in "…". */
#define RUN_LOG_LINE_MAX 4096U
/* What the master may still say behind the cap. */
#define RUN_LOG_RESERVE 100U

typedef struct RunLogLine {
        uint64_t seq; /* read only; the cursor */
        usec_t at;
        char *level; /* "debug", "info", "notice", "warning", "error" */
        char *text;
} RunLogLine;

typedef struct RunLogList {
        RunLogLine *items;
        size_t n;
} RunLogList;

#define RUN_LOG_LIST_NULL ((RunLogList){})

void run_log_list_done(RunLogList *l);

/* Lines of an agent. first_source_seq is the number that the agent gave the first of them, rising over an
 * attempt, from 1; what was stored before is skipped, so a batch may be repeated. ret_last_source_seq (may
 * be NULL): stored up to here. STORE_E_NOT_FOUND: no such run. */
typedef struct RunLogBatch {
        uint64_t run_id;
        uint32_t attempt;
        uint64_t first_source_seq;
        const RunLogLine *lines;
        size_t n;
} RunLogBatch;

int run_log_append(Store *s, const RunLogBatch *batch, uint64_t *ret_last_source_seq) _warn_unused_;
/* One line of the master itself. */
int run_log_add(Store *s, uint64_t run_id, usec_t at, const char *level, const char *text) _warn_unused_;
int run_log_list(Store *s, uint64_t run_id, uint64_t after_seq, size_t limit, RunLogList *ret) _warn_unused_;
