/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/job/verdict.h"
#include "base/alloc.h"
#include "sys/log.h"

int job_log_level(ArchiveLogLevel level) {
        switch (level) {
        case ARCHIVE_LOG_INFO:
                return LOG_INFO;
        case ARCHIVE_LOG_WARNING:
                return LOG_WARNING;
        case ARCHIVE_LOG_ERROR:
        case _ARCHIVE_LOG_LEVEL_MAX:
        case _ARCHIVE_LOG_LEVEL_INVALID:
                return LOG_ERR;
        }
        return LOG_ERR;
}

ResultStatus job_result_status(ArchiveState state) {
        switch (state) {
        case ARCHIVE_SUCCEEDED:
                return RESULT_SUCCEEDED;
        case ARCHIVE_PARTIAL:
                return RESULT_PARTIAL;
        case ARCHIVE_CANCELLED:
                return RESULT_CANCELLED;
        case ARCHIVE_FAILED:
        case _ARCHIVE_STATE_MAX:
        case _ARCHIVE_STATE_INVALID:
                return RESULT_FAILED;
        }
        return RESULT_FAILED;
}

/* Moves those that are lost, or those that are not, behind what is there already. */
static void take_sort(ArchiveProblem *problems, size_t n, bool lost, ResultFigures *figures) {
        for (size_t i = 0; i < n && figures->n_errors < RESULT_ERRORS_MAX; i++)
                if (problems[i].lost == lost)
                        figures->errors[figures->n_errors++] = (ResultError){
                                .path = TAKE_PTR(problems[i].path),
                                .code = TAKE_PTR(problems[i].code),
                                .message = TAKE_PTR(problems[i].message),
                        };
}

int job_take_problems(ArchiveProblem *problems, size_t n, ResultFigures *figures) {
        assert(problems || n == 0);
        assert(figures);

        if (n == 0)
                return 0;
        figures->errors = new0(ResultError, MIN(n, (size_t) RESULT_ERRORS_MAX));
        if (!figures->errors)
                return -ENOMEM;
        take_sort(problems, n, true, figures);
        take_sort(problems, n, false, figures);
        return 0;
}
