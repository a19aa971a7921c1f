#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What this agent may use, as the master said with the last heartbeat; kept in the state folder, so that a
 * restarted agent does not begin without. 0: no limit. */

#include "wire/json.h"

typedef struct AgentLimits {
        uint32_t jobs;       /* at a time, probes not counted; the own capacity counts, too */
        uint64_t bandwidth;  /* bytes a second of all uploads over the network */
        uint32_t cpu_weight; /* of its jobs, as systemd counts; below 100: gives way to others */
        uint32_t io_weight;
} AgentLimits;

#define AGENT_LIMITS_NULL ((AgentLimits){})

/* From the object of a heartbeat's answer; absent and null members are no limit. -EBADMSG: *ret is
 * untouched. */
int agent_limits_parse(const json_t *json, AgentLimits *ret) _warn_unused_;
/* Gives none where there is no file, or a damaged one. */
void agent_limits_load(int state_fd, AgentLimits *ret);
int agent_limits_save(int state_fd, const AgentLimits *limits) _warn_unused_;
bool agent_limits_equal(const AgentLimits *a, const AgentLimits *b) _pure_;
/* What one of n jobs may send a second. */
uint64_t agent_limits_share(const AgentLimits *limits, unsigned jobs) _pure_;
