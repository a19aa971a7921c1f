#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a backup tells while it runs: problems, log lines, counts. Filled by several threads, emptied by the
 * one that called, so that callbacks come from there alone. */

#include <pthread.h>

#include "archive/backup.h"

/* Lines waiting for the caller; beyond, they are counted and the count is told. */
#define REPORT_LINES_MAX 256

typedef struct ReportLine {
        ArchiveLogLevel level;
        char *text;
} ReportLine;

typedef struct Report {
        pthread_mutex_t lock;
        ArchiveProblem *errors;
        size_t n_errors;
        uint64_t errors_total, lost_total;
        ReportLine lines[REPORT_LINES_MAX];
        size_t n_lines;
        uint64_t lines_dropped;
        char *current;

        Failure failure; /* what ended the run; only the producer's, until it has ended */

        atomic_bool wants_current;
        atomic_uint_fast64_t bytes_read, files, directories, others, skipped, first_read;
} Report;

int report_init(Report *r) _warn_unused_;
void report_done(Report *r);

/* A line of log. */
void report_log(Report *r, ArchiveLogLevel level, const char *format, ...) _printf_(3, 4);
/* Something about a path, which is relative to the root of the file system: counted, kept while there is
 * room, and logged. */
void report_problem(Report *r, const char *path, const char *code, bool lost, const char *format, ...)
                _printf_(5, 6);
/* The path that is being read; cheap where nobody asked for it. */
void report_current(Report *r, const char *path);
/* Remembers the time of the first byte. */
void report_first_read(Report *r);
/* Hands the waiting lines and, where asked, the state to the callbacks of args. */
void report_flush(Report *r, const BackupArgs *args, const BackupProgress *progress);
