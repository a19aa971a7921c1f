#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What every start message of a job says of us: the master, the node, where results go. */

#include "agent/daemon/agent.h"

int job_context_build(const Agent *a, json_t **ret) _warn_unused_;
