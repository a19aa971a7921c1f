#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Questions about the work that this agent has in hand, asked of the list that work.c keeps (newest first;
 * NULL: none). */

#include "agent/daemon/work.h"

/* This attempt. */
Work *works_find(Work *first, WorkName name) _pure_;
/* This attempt, or a later one: what is left of an answer that was overtaken. */
bool works_has_attempt(const Work *first, WorkName name) _pure_;
/* Whether there is work that is to be reported as lost after the next answer to a claim. */
bool works_has_lost(const Work *first) _pure_;
/* Jobs that fill a place. */
unsigned works_count_jobs(const Work *first) _pure_;
/* The same without probes. */
unsigned works_count_heavy(const Work *first) _pure_;
/* What is left of these places. */
AgentPlaces works_places_left(const Work *first, AgentPlaces places) _pure_;
/* Whether a stop has to wait: for children, and for the results of those that it ended. */
bool works_hold_up_exit(const Work *first) _pure_;
/* [{"command","attempt"},…], AGENT_HOLDING_MAX at the most; NULL: out of memory. */
json_t *works_to_json(const Work *first, WorkStateFilter which);
/* Likewise, what is lost and was provably never begun. */
json_t *works_unstarted_to_json(const Work *first);
