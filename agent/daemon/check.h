#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the agent itself sees of its health: the master, the token, the clock, the policy, its folders, and
 * whether jobs can be started. A job adds what it sees with its own rights (kind self_check). */

#include "agent/daemon/agent.h"
#include "wire/check.h"

/* An array of items (wire/check.h). */
int agent_check_items(const Agent *a, json_t **ret) _warn_unused_;
