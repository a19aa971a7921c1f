/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

void backoff_reset(Backoff *b) {
        assert(b);

        b->attempts = 0;
}

usec_t backoff_next(Backoff *b, uint32_t random) {
        usec_t ceiling, delay;

        assert(b);
        assert(b->base > 0);
        assert(b->cap >= b->base);

        ceiling = b->base;
        for (unsigned i = 0; i < b->attempts && ceiling < b->cap; i++)
                ceiling = ceiling > b->cap / 2 ? b->cap : ceiling * 2;
        if (b->attempts < UINT32_MAX)
                b->attempts++;

        delay = (usec_t) ((double) ceiling * ((double) random / (double) UINT32_MAX));
        return MAX(delay, b->base / 10);
}
