#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The kinds of work, one function each. They run in the worker thread, may block, and end soon after the
 * cancel flag is set. */

#include "agent/common/policy.h"
#include "agent/job/link.h"
#include "agent/job/start.h"
#include "storage/pace.h"

typedef struct JobRun {
        const JobStart *start;
        const Policy *policy;
        const char *storage_dir;  /* where local targets need no rule */
        const char *staging_dir;  /* for temporary copies, where there is no way without */
        const char *tools_path;   /* where tools are looked for */
        const char *cache_dir;    /* of repositories; may vanish at any time */
        const char *hook_program; /* of the keeper of hooks; NULL: it is behind the socket */
        const char *hook_socket;
        JobLink *link;
        Pace *pace; /* of what it uploads */
} JobRun;

/* Fills *ret, whatever happens. */
typedef void (*JobKindFunc)(const JobRun *run, JobOutcome *ret);

void job_kind_backup(const JobRun *run, JobOutcome *ret);
void job_kind_restore(const JobRun *run, JobOutcome *ret);
void job_kind_prune(const JobRun *run, JobOutcome *ret);
void job_kind_verify(const JobRun *run, JobOutcome *ret);
void job_kind_browse(const JobRun *run, JobOutcome *ret);
void job_kind_read_file(const JobRun *run, JobOutcome *ret);
void job_kind_list_dir(const JobRun *run, JobOutcome *ret);
void job_kind_test_storage(const JobRun *run, JobOutcome *ret);
void job_kind_test_task(const JobRun *run, JobOutcome *ret);
void job_kind_self_check(const JobRun *run, JobOutcome *ret);
void job_kind_discover(const JobRun *run, JobOutcome *ret);
void job_kind_rclone(const JobRun *run, JobOutcome *ret);

/* NULL: this version does not do it. */
JobKindFunc job_kind_function(CommandKind kind);

/* Ends an outcome as failed (or, after a cancel, as cancelled) with this failure, which is taken over. error
 * stands in where no failure is set. */
void job_outcome_fail(const JobRun *run, JobOutcome *o, Failure *failure, int error);
