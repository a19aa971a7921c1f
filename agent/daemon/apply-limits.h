#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Gives the slice of the jobs the weights that the master gave this node; run as root by
 * backupx-agent-limits.service, since the agent may change no unit. What it reads was written by the agent
 * and is believed for two numbers in their bounds, no more. */

#define LIMITS_SLICE "backupx.slice"
/* Of the unit file: what counts where the master says nothing. */
#define LIMITS_WEIGHT_DEFAULT 20U

/* Does not come back where it works: the service manager's own tool takes over. Logs. */
int apply_limits(void);
