#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* org.backupx.Agent1 on the system bus: what this agent does, for people on its host. */

#include "agent/daemon/agent.h"

int agent_bus_new(Agent *a, AgentBus **ret) _warn_unused_;
AgentBus *agent_bus_free(AgentBus *b);
/* Where there is no system bus nothing is exported; that is no error. */
int agent_bus_start(AgentBus *b) _warn_unused_;
