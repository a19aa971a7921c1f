#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Retry as a value: exponential growth with full jitter (the delay is uniform between 0 and the current
 * ceiling), as "Exponential Backoff And Jitter" of the AWS Architecture Blog describes it. Pure: randomness
 * comes in. */

#include "base/times.h"

typedef struct Backoff {
        usec_t base; /* the first ceiling */
        usec_t cap;  /* no ceiling is above this */
        unsigned attempts;
} Backoff;

#define BACKOFF_INIT(first, most) ((Backoff){ .base = (first), .cap = (most) })

void backoff_reset(Backoff *b);
/* The delay before the next attempt, for a random number of 32 bits. Never under a tenth of the first
 * ceiling, so that a run of small draws is not a busy loop. Counts the attempt. */
usec_t backoff_next(Backoff *b, uint32_t random);
