#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Opens the targets of a command with the secrets that came with it, where the policy lets us. */

#include "agent/job/kinds.h"
#include "storage/storage.h"

/* How long a target may take, and what ends it; 0: as the storage has it by default. */
typedef struct JobTargetLimits {
        const atomic_bool *cancel;
        usec_t stall;    /* without a byte that moves */
        usec_t retry;    /* of what fails for a while */
        usec_t patience; /* of system calls that may never come back */
} JobTargetLimits;

/* The failure has the code POLICY_DENIED where a local target lies outside of what this host allows. */
int job_target_open(const JobRun *run, const SpecTarget *target, Storage **ret, Failure *reterr_failure)
                _warn_unused_;
int job_target_open_within(const JobRun *run, const SpecTarget *target, const JobTargetLimits *limits,
                           Storage **ret, Failure *reterr_failure) _warn_unused_;
