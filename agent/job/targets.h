#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Opens the targets of a command with the secrets that came with it, where the policy lets us. */

#include "agent/job/kinds.h"
#include "storage/storage.h"

/* The failure has the code POLICY_DENIED where a local target lies outside of what this host allows. */
int job_target_open(const JobRun *run, const SpecTarget *target, Storage **ret, Failure *reterr_failure)
                _warn_unused_;
