#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* How a backup or a restore went: its state, what was lost on the way, and lines for its log. */

#include "base/macros.h"

#define ARCHIVE_PROBLEMS_MAX 100 /* named in a result; the rest is counted */

typedef enum ArchiveState {
        ARCHIVE_SUCCEEDED,
        ARCHIVE_PARTIAL,   /* something is missing, or not as it was; the problems say what */
        ARCHIVE_FAILED,    /* of a backup: no target holds a committed archive */
        ARCHIVE_CANCELLED, /* nor then */
        _ARCHIVE_STATE_MAX,
        _ARCHIVE_STATE_INVALID = -22, /* -EINVAL */
} ArchiveState;

/* "succeeded", "partial", "failed", "cancelled". */
DECLARE_STRING_TABLE(archive_state, ArchiveState);

typedef enum ArchiveLogLevel {
        ARCHIVE_LOG_INFO,
        ARCHIVE_LOG_WARNING,
        ARCHIVE_LOG_ERROR,
        _ARCHIVE_LOG_LEVEL_MAX,
        _ARCHIVE_LOG_LEVEL_INVALID = -22, /* -EINVAL */
} ArchiveLogLevel;

/* "info", "warning", "error". */
DECLARE_STRING_TABLE(archive_log_level, ArchiveLogLevel);

/* Something that is not, or not wholly, where it should be; or that changed while it was read. */
typedef struct ArchiveProblem {
        char *path; /* absolute, raw bytes */
        char *code; /* "UNREADABLE", "VANISHED", … (docs/formats.md); "EXISTS", … (docs/restore.md) */
        char *message;
        bool lost; /* of a backup: content is missing, and the run is partial */
} ArchiveProblem;

void archive_problem_done(ArchiveProblem *p);
ArchiveProblem *archive_problems_free(ArchiveProblem *problems, size_t n);
