#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The agents' side of the API: enrolment, heartbeats, the long poll for commands, their progress and their
 * results. What an agent sends is hostile; whose it is says its token alone.
 *
 * Writing is done in batches. A request that changes something is suspended and put into a list; at the end
 * of the turn of the loop all of the list runs in one transaction, and only after its commit are the
 * requests answered. Heartbeats stay in memory, and progress waits in the list, until the tick that comes
 * once a second. */

#include "services/api/request.h"

typedef struct Agents Agents;

int agents_new(Api *api, Agents **ret) _warn_unused_;
Agents *agents_free(Agents *agents);
DEFINE_CLEANUP(Agents *, agents_free);

/* From here on silence counts: the server listens. Before siblings_start(), as signals are matched here. */
int agents_start(Agents *agents) _warn_unused_;
/* Answers what waits, and writes what is in memory. */
void agents_stop(Agents *agents);

/* A node was disabled or deleted: its waiting agent comes again, and hears of it. */
void agents_dismiss(Agents *agents, uint64_t node_id);

/* Requests that wait for a command. */
unsigned agents_waiting(const Agents *agents);

/* The handlers of the route table. */
int agent_enroll(Request *r);
int agent_self(Request *r);
int agent_heartbeat(Request *r);
int agent_claim(Request *r);
int agent_accept(Request *r);
int agent_progress(Request *r);
int agent_result(Request *r);
