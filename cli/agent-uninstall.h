#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* "backupx agent uninstall": takes away what the installer brought. */

#include "base/failure.h"
#include "base/macros.h"

/* Stops the agent and its jobs, removes units and programs. Configuration, key, token and what the agent
 * stored on this machine stay; purge removes them, too, with the user. An agent of the package manager is
 * left to that. */
int agent_uninstall(bool purge, Failure *reterr_failure) _warn_unused_;
