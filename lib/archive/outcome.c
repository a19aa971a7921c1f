/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "archive/outcome.h"
#include "base/alloc.h"
#include "base/text.h"

static const char *const archive_state_table[_ARCHIVE_STATE_MAX] = {
        [ARCHIVE_SUCCEEDED] = "succeeded",
        [ARCHIVE_PARTIAL] = "partial",
        [ARCHIVE_FAILED] = "failed",
        [ARCHIVE_CANCELLED] = "cancelled",
};

DEFINE_STRING_TABLE(archive_state, ArchiveState);

static const char *const archive_log_level_table[_ARCHIVE_LOG_LEVEL_MAX] = {
        [ARCHIVE_LOG_INFO] = "info",
        [ARCHIVE_LOG_WARNING] = "warning",
        [ARCHIVE_LOG_ERROR] = "error",
};

DEFINE_STRING_TABLE(archive_log_level, ArchiveLogLevel);

void archive_problem_done(ArchiveProblem *p) {
        if (!p)
                return;
        free(p->path);
        free(p->code);
        free(p->message);
        *p = (ArchiveProblem){};
}

ArchiveProblem *archive_problems_free(ArchiveProblem *problems, size_t n) {
        for (size_t i = 0; i < n; i++)
                archive_problem_done(problems + i);
        return mfree(problems);
}
