#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* How fast bytes may leave this process, over all its connections: threads that send take turns by time.
 * Each share is paid for before it is sent, so the rate holds over any second; time that nobody used is
 * given back for at most PACE_BURST_USEC. */

#include <pthread.h>
#include <stdatomic.h>

#include "base/macros.h"
#include "base/times.h"

/* What may follow at once after a pause. */
#define PACE_BURST_USEC (USEC_PER_SEC / 4)

typedef struct Pace {
        _Atomic uint64_t rate; /* bytes a second; 0: no limit */
        pthread_mutex_t lock;
        usec_t free_at; /* when the next byte may go */
} Pace;

#define PACE_INIT \
        { .lock = PTHREAD_MUTEX_INITIALIZER }

/* Pure: how long n bytes have to wait at this rate; *free_at moves on. */
usec_t pace_reserve(usec_t *free_at, uint64_t rate, size_t n, usec_t now);
/* How many of n bytes to send as one share: a tenth of a second's worth, and never none. */
size_t pace_share(uint64_t rate, size_t n);

/* From any thread; what waits goes on with the old rate for its share. */
void pace_set(Pace *p, uint64_t rate);
/* Waits until a share of n bytes may go and gives its size; 0: cancelled. p may be NULL: no limit. */
size_t pace_wait(Pace *p, size_t n, const atomic_bool *cancel);
