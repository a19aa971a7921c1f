/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pace.h"
#include "tests/test.h"

#define T0 (1000 * USEC_PER_SEC)
#define RATE UINT64_C(1000000)

static void test_reserve(void) {
        usec_t free_at = 0;

        /* After a pause a quarter of a second is there at once, and no more. */
        CHECK_INT(pace_reserve(&free_at, RATE, 250000, T0), 0);
        CHECK_INT(free_at, T0);
        CHECK_INT(pace_reserve(&free_at, RATE, 100000, T0), 0);
        CHECK_INT(pace_reserve(&free_at, RATE, 100000, T0), USEC_PER_SEC / 10);
        CHECK_INT(pace_reserve(&free_at, RATE, 100000, T0), 2 * USEC_PER_SEC / 10);
        /* No limit waits for nothing, and reserves nothing. */
        CHECK_INT(pace_reserve(&free_at, 0, 1000000, T0), 0);
        CHECK_INT(free_at, T0 + 3 * USEC_PER_SEC / 10);
        /* A clock that stood does not save up. */
        free_at = 0;
        CHECK_INT(pace_reserve(&free_at, RATE, 1000000, T0 + USEC_PER_HOUR), 0);
        CHECK_INT(free_at, T0 + USEC_PER_HOUR + 3 * USEC_PER_SEC / 4);
}

/* Whoever sends as fast as it may sends the rate, whatever the size of the shares. */
static void test_rate(void) {
        static const struct {
                uint64_t rate;
                size_t part;
        } cases[] = { { 65536, 65536 }, { RATE, 16384 }, { RATE, 1 << 20 }, { 100 * RATE, 4096 } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t rate = cases[i].rate, sent = 0, wanted = rate * 20;
                usec_t now = T0, free_at = 0, took;

                while (sent < wanted) {
                        size_t n = pace_share(rate, cases[i].part);

                        now += pace_reserve(&free_at, rate, n, now);
                        sent += n;
                }
                took = now - T0;
                CHECK(took >= 19 * USEC_PER_SEC && took <= 20 * USEC_PER_SEC);
        }
}

static void test_share(void) {
        CHECK_INT(pace_share(0, 1 << 20), 1 << 20);
        CHECK_INT(pace_share(RATE, 1 << 20), 100000);
        CHECK_INT(pace_share(RATE, 1000), 1000);
        CHECK_INT(pace_share(1, 1 << 20), 4096);
}

static void test_wait(void) {
        const atomic_bool yes = true, no = false;
        Pace pace = PACE_INIT;
        usec_t start = now_usec(CLOCK_MONOTONIC);
        size_t sent = 0;

        CHECK_INT(pace_wait(NULL, 77, NULL), 77);
        CHECK_INT(pace_wait(&pace, 77, &yes), 77);
        pace_set(&pace, 1 << 20);
        while (sent < 1 << 19)
                sent += pace_wait(&pace, 1 << 19, &no);
        /* Half a second's worth, less what may follow at once and the last share. */
        CHECK(now_usec(CLOCK_MONOTONIC) - start >= USEC_PER_SEC / 10);
        CHECK_INT(pace_wait(&pace, 1 << 19, &yes), 0);
}

int main(void) {
        RUN(test_reserve);
        RUN(test_rate);
        RUN(test_share);
        RUN(test_wait);
        return 0;
}
