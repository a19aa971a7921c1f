/* SPDX-License-Identifier: Apache-2.0 */
#include "services/api/throttle.h"
#include "tests/test.h"

#define START (1000 * USEC_PER_SEC)

static void try(Throttle *t, ThrottleKind kind, const char *name, unsigned n, usec_t now) {
        for (unsigned i = 0; i < n; i++)
                throttle_count(t, kind, name, now);
}

static void test_free_tries(void) {
        _cleanup_(throttle_freep) Throttle *t = NULL;

        CHECK_OK(throttle_new(7, &t));
        CHECK_INT(throttle_wait(t, THROTTLE_ACCOUNT, "admin", START), 0);
        try(t, THROTTLE_ACCOUNT, "admin", THROTTLE_ACCOUNT_FREE, START);
        CHECK_INT(throttle_wait(t, THROTTLE_ACCOUNT, "admin", START), 0);
        try(t, THROTTLE_ACCOUNT, "admin", 1, START);
        CHECK_INT(throttle_wait(t, THROTTLE_ACCOUNT, "admin", START), THROTTLE_PAUSE_USEC);
        CHECK_INT(throttle_wait(t, THROTTLE_ACCOUNT, "admin", START + THROTTLE_PAUSE_USEC), 0);
        /* Others are not touched. */
        CHECK_INT(throttle_wait(t, THROTTLE_ACCOUNT, "Admin", START), 0);
        CHECK_INT(throttle_wait(t, THROTTLE_ADDRESS, "admin", START), 0);
}

static void test_growth(void) {
        _cleanup_(throttle_freep) Throttle *t = NULL;
        usec_t now = START, pause = THROTTLE_PAUSE_USEC;

        CHECK_OK(throttle_new(7, &t));
        try(t, THROTTLE_ADDRESS, "10.0.0.1", THROTTLE_ADDRESS_FREE, now);
        for (unsigned i = 0; i < 40; i++) {
                throttle_count(t, THROTTLE_ADDRESS, "10.0.0.1", now);
                CHECK_INT(throttle_wait(t, THROTTLE_ADDRESS, "10.0.0.1", now), pause);
                now += pause;
                pause = MIN(2 * pause, THROTTLE_PAUSE_MAX_USEC);
        }
        /* Quiet for long enough: as if new. */
        now += THROTTLE_MEMORY_USEC + THROTTLE_PAUSE_MAX_USEC + 1;
        throttle_count(t, THROTTLE_ADDRESS, "10.0.0.1", now);
        CHECK_INT(throttle_wait(t, THROTTLE_ADDRESS, "10.0.0.1", now), 0);
}

static void test_forgiveness(void) {
        _cleanup_(throttle_freep) Throttle *t = NULL;

        CHECK_OK(throttle_new(7, &t));
        try(t, THROTTLE_ACCOUNT, "a", 20, START);
        throttle_forgive(t, THROTTLE_ACCOUNT, "a");
        CHECK_INT(throttle_wait(t, THROTTLE_ACCOUNT, "a", START), 0);
        /* A right password gives an address back one try, not all: else one's own account would reset it. */
        try(t, THROTTLE_ADDRESS, "x", THROTTLE_ADDRESS_FREE, START);
        throttle_forgive(t, THROTTLE_ADDRESS, "x");
        try(t, THROTTLE_ADDRESS, "x", 1, START);
        CHECK_INT(throttle_wait(t, THROTTLE_ADDRESS, "x", START), 0);
        try(t, THROTTLE_ADDRESS, "x", 1, START);
        CHECK_INT(throttle_wait(t, THROTTLE_ADDRESS, "x", START), THROTTLE_PAUSE_USEC);
        throttle_forgive(t, THROTTLE_ACCOUNT, "unknown");
}

/* A flood of names takes no memory, and does not free one that is blocked from its pause. */
static void test_flood(void) {
        _cleanup_(throttle_freep) Throttle *t = NULL;
        char name[32];

        CHECK_OK(throttle_new(UINT64_C(0x1234567890abcdef), &t));
        try(t, THROTTLE_ACCOUNT, "admin", THROTTLE_ACCOUNT_FREE + 12, START);
        for (unsigned i = 0; i < 200000; i++) {
                (void) snprintf(name, sizeof(name), "user-%u", i);
                throttle_count(t, THROTTLE_ACCOUNT, name, START + i);
        }
        CHECK(throttle_wait(t, THROTTLE_ACCOUNT, "admin", START + 200000) > 0);
}

int main(void) {
        RUN(test_free_tries);
        RUN(test_growth);
        RUN(test_forgiveness);
        RUN(test_flood);
        return 0;
}
