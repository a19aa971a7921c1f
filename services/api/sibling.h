#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What handlers ask of the scheduler and the dispatcher, without the bus. */

#include "services/api/request.h"

/* What the sibling said: id for 0, else an errno with a failure in our codes. Answers r, through
 * request_end(). */
typedef void (*SiblingReply)(Request *r, int error, uint64_t id, const Failure *failure);

/* Suspends r and asks; reply() answers r. Not reachable: -ENOTCONN, and r is not suspended. */
int sibling_queue_run(Request *r, const char *json, SiblingReply reply) _warn_unused_;
int sibling_cancel_run(Request *r, uint64_t run_id, const char *by, SiblingReply reply) _warn_unused_;
int sibling_drain(Request *r, uint64_t node_id, bool draining, const char *by, SiblingReply reply)
                _warn_unused_;
/* A probe: reply() gets the id of the command that ended, or -ETIMEDOUT when none did within
 * PROBE_TIMEOUT_USEC. A command that nobody waits for any more, for that reason or because the client went
 * away, is cancelled. */
#define PROBE_TIMEOUT_USEC (15 * USEC_PER_SEC)
int sibling_probe(Request *r, const char *json, SiblingReply reply) _warn_unused_;

/* Rings. Nobody has to hear it. */
void sibling_tasks_changed(Api *api);
void sibling_kick(Api *api);

bool sibling_scheduler_is_connected(const Api *api);
bool sibling_dispatcher_is_connected(const Api *api);
