#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The hooks of a backup, from the side of the job: it asks the keeper of hooks for them (agent/hook), tells
 * the log of the run what they say, and lets them have their word in the outcome. */

#include "agent/job/kinds.h"

typedef struct JobHooks {
        const JobRun *run;
        HookPolicy on_failure;
        int fd;      /* negative: there are none, or they are done */
        char *error; /* of the first one that failed */
} JobHooks;

#define JOB_HOOKS_NULL ((JobHooks){ .fd = -EBADF })
void job_hooks_done(JobHooks *h);

/* Runs the pre hooks. After a failure the post hooks have run where there was a pre hook. Nothing happens
 * where the task has no hooks. */
int job_hooks_begin(const JobRun *run, const BackupSpec *spec, JobHooks *ret, Failure *reterr_failure);
/* Runs the post hooks and waits for them. */
void job_hooks_end(JobHooks *h, ResultStatus status);
/* What failed in them makes a good run partial where the task wants that. */
void job_hooks_judge(const JobHooks *h, JobOutcome *o);
