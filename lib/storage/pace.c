/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "storage/pace.h"

/* A cancellation is noticed within this. */
#define SLICE_USEC (USEC_PER_SEC / 10)
/* Smaller writes only cost. */
#define SHARE_MIN 4096U

usec_t pace_reserve(usec_t *free_at, uint64_t rate, size_t n, usec_t now) {
        usec_t start;

        assert(free_at);

        if (rate == 0)
                return 0;
        start = MAX(*free_at, usec_sub(now, PACE_BURST_USEC));
        *free_at = usec_add(start, (usec_t) ((double) n * USEC_PER_SEC / (double) rate));
        return usec_sub(start, now);
}

size_t pace_share(uint64_t rate, size_t n) {
        if (rate == 0)
                return n;
        return MIN(n, MAX((size_t) (rate / 10), (size_t) SHARE_MIN));
}

void pace_set(Pace *p, uint64_t rate) {
        assert(p);

        atomic_store(&p->rate, rate);
}

static bool is_cancelled(const atomic_bool *cancel) {
        return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

static void wait_for(usec_t delay, const atomic_bool *cancel) {
        while (delay > 0 && !is_cancelled(cancel)) {
                usec_t part = MIN(delay, (usec_t) SLICE_USEC);
                const struct timespec span = { 0, (long) part * 1000 };

                (void) clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
                delay -= part;
        }
}

size_t pace_wait(Pace *p, size_t n, const atomic_bool *cancel) {
        uint64_t rate = p ? atomic_load(&p->rate) : 0;
        usec_t delay;
        size_t share;

        if (rate == 0 || n == 0)
                return n;
        share = pace_share(rate, n);
        (void) pthread_mutex_lock(&p->lock);
        delay = pace_reserve(&p->free_at, rate, share, now_usec(CLOCK_MONOTONIC));
        (void) pthread_mutex_unlock(&p->lock);
        wait_for(delay, cancel);
        return is_cancelled(cancel) ? 0 : share;
}
