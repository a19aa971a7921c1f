/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/job/kinds.h"

JobKindFunc job_kind_function(CommandKind kind) {
        switch (kind) {
        case COMMAND_BACKUP:
                return job_kind_backup;
        case COMMAND_RESTORE:
                return job_kind_restore;
        case COMMAND_BROWSE:
                return job_kind_browse;
        case COMMAND_LIST_DIR:
                return job_kind_list_dir;
        case COMMAND_TEST_STORAGE:
                return job_kind_test_storage;
        case COMMAND_TEST_TASK:
                return job_kind_test_task;
        case COMMAND_SELF_CHECK:
                return job_kind_self_check;
        case COMMAND_READ_FILE:
                return job_kind_read_file;
        case COMMAND_DISCOVER_DATABASES:
                return job_kind_discover;
        case COMMAND_RCLONE_BACKENDS:
                return job_kind_rclone;
        case COMMAND_VERIFY:
                return job_kind_verify;
        case COMMAND_PRUNE:
                return job_kind_prune;
        case _COMMAND_KIND_MAX:
        case _COMMAND_KIND_INVALID:
                return NULL;
        }
        return NULL;
}

void job_outcome_fail(const JobRun *run, JobOutcome *o, Failure *failure, int error) {
        assert(run);
        assert(o);
        assert(failure);

        if (!failure_is_set(failure))
                (void) failure_set(failure, error,
                                   error == -ENOMEM                    ? "OUT_OF_MEMORY" :
                                                   error == -ECANCELED ? "CANCELLED" :
                                                                         "JOB_FAILED",
                                   "%s", failure_message(NULL, error));
        o->status = atomic_load(job_link_cancelled(run->link)) ? RESULT_CANCELLED : RESULT_FAILED;
        failure_done(&o->failure);
        o->failure = *failure;
        *failure = FAILURE_NULL;
}
