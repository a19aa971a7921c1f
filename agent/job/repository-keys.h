#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A repository's password in the repository itself, as an age file for keys that are kept offline: with one
 * of them and stock tools it is opened, whatever became of the master. */

#include "agent/job/kinds.h"
#include "crypto/age.h"
#include "storage/storage.h"

/* One file for each set of recipients, written once: restic and we pass over it. Does nothing where
 * n_recipients is 0. The repository of target is open already. */
int job_repository_keep_key(const JobRun *run, const SpecTarget *target, Storage *storage,
                            const AgeRecipient *recipients, size_t n_recipients, Failure *reterr_failure);
