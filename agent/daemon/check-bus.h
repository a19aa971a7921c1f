#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* backupx agent check: asks the running agent of this host over the system bus, prints what it found, and
 * notes the outcome in the journal. */

#include "base/macros.h"

/* The bus name of an agent: of backupx-agent@INSTANCE.service, or with NULL, "" or "default" the agent of
 * backupx-agent.service. Allocates. */
int agent_bus_name(const char *instance, char **ret) _warn_unused_;

/* The exit status: 0 where nothing is wrong, 1 where something is, or no agent answers. Logs. */
int agent_check(const char *instance) _warn_unused_;
