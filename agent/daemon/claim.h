#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The long poll: asks for commands, waits up to 50 s for the answer, asks again at once. When places become
 * free that the waiting claim did not offer, a second claim is made beside it; the master answers the older
 * one then.
 *
 * It shares one connection with all that an idle agent says: its wait is over just before the next heartbeat
 * is due, and it is not asked anew before what is under way was answered. */

#include "agent/daemon/agent.h"
#include "base/backoff.h"

/* What the master may wait before it answers 204; under the idle limits of common proxies. */
#define CLAIM_WAIT_SEC 50U
/* Behind that the answer is lost. */
#define CLAIM_GRACE (15 * USEC_PER_SEC)
/* A 204 that comes this much before its time (or before half of it) was not a wait that ended. */
#define CLAIM_EARLY (3 * USEC_PER_SEC)
/* A claim waits no longer than this for its turn; then it gets a connection of its own. */
#define CLAIM_PATIENCE USEC_PER_SEC
/* A token that is not known today is asked with again, slowly. */
#define CLAIM_SLOW_MIN (30 * USEC_PER_SEC)
#define CLAIM_SLOW_MAX (60 * USEC_PER_SEC)
/* The master counts a silent agent as gone after this. */
#define CLAIM_DUPLICATE_WAIT (45 * USEC_PER_SEC)

int claim_new(Agent *a, Claim **ret) _warn_unused_;
Claim *claim_free(Claim *c);

/* Begins, or looks whether the places that are free now are offered. */
void claim_update(Claim *c);
/* The same, without waiting for the time that a failure set. */
void claim_now(Claim *c);
void claim_stop(Claim *c);
bool claim_is_waiting(const Claim *c);

/* For how long to ask the master to wait, when the next heartbeat is due then: it ends before that, by a
 * second at most where that is between two. Pure. */
unsigned claim_wait_sec(usec_t now, usec_t beat_due);

/* When to ask again after an answer, for how long the answer took to come and a random number. backoff is
 * for failures. Pure. */
usec_t claim_delay(const Reply *reply, unsigned wait_sec, usec_t took, Backoff *backoff, uint32_t random);

DEFINE_CLEANUP(Claim *, claim_free);
