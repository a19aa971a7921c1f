#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The whole check of this host, asked for on the host: what the agent sees, and what a job of it sees. The
 * job is an ordinary probe without a command of the master. From its answer the agent also has the versions
 * of the tools that its heartbeats tell: it looks for programs itself, and lets a job ask them when one
 * came, went or was replaced. */

#include "agent/daemon/agent.h"

/* report: as wire/check.h has it; borrowed. Where no job could be started it says so. NULL: there is no
 * memory, or the agent ends. */
typedef void (*LocalCheckDone)(const json_t *report, void *userdata);

int local_check_new(Agent *a, LocalCheck **ret) _warn_unused_;
LocalCheck *local_check_free(LocalCheck *c);

/* Calls done from the loop. Who asks while a check is under way gets the answer of that one. -EBUSY: too
 * many ask. */
int local_check_ask(LocalCheck *c, LocalCheckDone done, void *userdata) _warn_unused_;

/* {"pg_dump":"15.6",…}, {} while nothing is known; a new reference. Looks whether it is out of date. */
json_t *local_check_tools(LocalCheck *c);

DEFINE_CLEANUP(LocalCheck *, local_check_free);
