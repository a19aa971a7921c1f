#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Every 15 s: that we live, what runs (which renews its leases), and what this host is. The answer tells
 * what to cancel, and hands over a new token. */

#include "agent/daemon/agent.h"

int heartbeat_new(Agent *a, Heartbeat **ret) _warn_unused_;
Heartbeat *heartbeat_free(Heartbeat *h);

/* Sends one now, or right behind the one that is under way: there is something to tell. */
void heartbeat_soon(Heartbeat *h);
/* The next one tells this report (taken over), and further ones do until one was answered. */
void heartbeat_tell_check(Heartbeat *h, json_t *report);
/* Sends one now, and goes on by itself. */
void heartbeat_start(Heartbeat *h);
void heartbeat_stop(Heartbeat *h);
/* When the next one is due, monotonic; USEC_INFINITY: not known yet. */
usec_t heartbeat_due(const Heartbeat *h);
/* Sends the next one now if it is due about now: a connection is free. */
void heartbeat_if_due(Heartbeat *h);

DEFINE_CLEANUP(Heartbeat *, heartbeat_free);
