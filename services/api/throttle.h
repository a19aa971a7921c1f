#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Guesses of passwords, slowed down for each account and each address. Pure: time comes in. The table has
 * one size for ever; where a bucket is full, the entry that was quiet for longest makes room, and one that
 * is blocked only when all are. Unknown accounts are counted as known ones: the answers tell nothing. */

#include "base/times.h"

typedef struct Throttle Throttle;

/* Wrong guesses that are free: a person who mistypes, a bureau behind one address. */
#define THROTTLE_ACCOUNT_FREE 5U
#define THROTTLE_ADDRESS_FREE 20U
/* The pause after the first guess too many; doubles with each, up to the longest. */
#define THROTTLE_PAUSE_USEC (1 * USEC_PER_SEC)
#define THROTTLE_PAUSE_MAX_USEC (5 * USEC_PER_MINUTE)
/* Quiet for this long: forgotten. */
#define THROTTLE_MEMORY_USEC (15 * USEC_PER_MINUTE)

typedef enum ThrottleKind {
        THROTTLE_ACCOUNT,
        THROTTLE_ADDRESS,
        THROTTLE_INSTALL, /* an address that asks for install links that are none */
} ThrottleKind;

/* key: random, so that nobody can aim at a bucket. */
int throttle_new(uint64_t key, Throttle **ret) _warn_unused_;
Throttle *throttle_free(Throttle *t);

/* How long this name has to wait now; 0: it may try. */
usec_t throttle_wait(const Throttle *t, ThrottleKind kind, const char *name, usec_t now);
/* Counts a try. Done before the password is looked at, so that many at once are many. */
void throttle_count(Throttle *t, ThrottleKind kind, const char *name, usec_t now);
/* The try was right: an account begins anew, an address gets this one back. */
void throttle_forgive(Throttle *t, ThrottleKind kind, const char *name);

DEFINE_CLEANUP(Throttle *, throttle_free);
