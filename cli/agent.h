#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* "backupx agent …": the agent's program, and the holes that an administrator makes in the sandbox of its
 * jobs. */

#include "base/failure.h"
#include "base/macros.h"

/* argv[0] is "agent". Does not come back when the agent's program was started; else the exit status. */
int agent_main(int argc, char **argv);

/* Lets jobs write to a directory: a drop-in for the units of backup jobs and probes, and an entry in the
 * policy. */
int agent_allow_storage(const char *directory, Failure *reterr_failure) _warn_unused_;
