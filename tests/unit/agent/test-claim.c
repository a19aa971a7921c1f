/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/daemon/claim.h"
#include "tests/test.h"

static Backoff backoff_fresh(void) {
        return BACKOFF_INIT(USEC_PER_SEC, 60 * USEC_PER_SEC);
}

static usec_t delay(ReplyVerdict verdict, usec_t took, usec_t retry_after, uint32_t random) {
        const Reply reply = { .verdict = verdict, .retry_after = retry_after };
        Backoff b = backoff_fresh();

        return claim_delay(&reply, CLAIM_WAIT_SEC, took, &b, random);
}

static void test_answers(void) {
        CHECK_INT(delay(REPLY_OK, 0, 0, 5), 0);
        CHECK_INT(delay(REPLY_EMPTY, 50 * USEC_PER_SEC, 0, 5), 0);
        CHECK_INT(delay(REPLY_EMPTY, 48 * USEC_PER_SEC, 0, 5), 0);
}

/* Answered before its time: not repeated for a second and jitter. */
static void test_early(void) {
        for (uint32_t random = 0; random < UINT32_MAX - 123456789U; random += 123456789U) {
                usec_t d = delay(REPLY_EMPTY, 100, 0, random);

                CHECK(d >= USEC_PER_SEC && d < 2 * USEC_PER_SEC);
        }
        /* A claim that asked not to be kept waiting is answered in time at once. */
        const Reply empty = { .verdict = REPLY_EMPTY };
        Backoff b = backoff_fresh();

        CHECK_INT(claim_delay(&empty, 0, 100, &b, 7), 0);
        /* One that waits shortly, for a heartbeat that is due, has ended when half of that is over. */
        CHECK(claim_delay(&empty, 1, 400 * USEC_PER_MSEC, &b, 7) >= USEC_PER_SEC);
        CHECK_INT(claim_delay(&empty, 1, 500 * USEC_PER_MSEC, &b, 7), 0);
}

/* Over before the heartbeat is due, not long before it, and never longer than a proxy would wait. */
static void test_wait(void) {
        const usec_t now = 1000 * USEC_PER_SEC;

        CHECK_INT(claim_wait_sec(now, USEC_INFINITY), CLAIM_WAIT_SEC);
        CHECK_INT(claim_wait_sec(now, now + USEC_PER_HOUR), CLAIM_WAIT_SEC);
        CHECK_INT(claim_wait_sec(now, now + 15 * USEC_PER_SEC), 15);
        CHECK_INT(claim_wait_sec(now, now + 15 * USEC_PER_SEC - 1), 14);
        CHECK_INT(claim_wait_sec(now, now + 1), 1);
        CHECK_INT(claim_wait_sec(now, now), 1);
        CHECK_INT(claim_wait_sec(now, now - USEC_PER_SEC), 1);
}

static void test_failures(void) {
        const Reply failed = { .verdict = REPLY_RETRY }, good = { .verdict = REPLY_OK };
        Backoff b = backoff_fresh();
        usec_t most = 0;

        for (unsigned i = 0; i < 20; i++) {
                usec_t d = claim_delay(&failed, CLAIM_WAIT_SEC, 0, &b, UINT32_MAX);

                CHECK(d > 0 && d <= 60 * USEC_PER_SEC);
                CHECK(d >= most);
                most = d;
        }
        CHECK(most > 50 * USEC_PER_SEC);
        CHECK_INT(claim_delay(&good, CLAIM_WAIT_SEC, 0, &b, 1), 0);
        CHECK(claim_delay(&failed, CLAIM_WAIT_SEC, 0, &b, UINT32_MAX) <= USEC_PER_SEC);
}

static void test_slow(void) {
        for (uint32_t random = 0; random < UINT32_MAX - 99999999U; random += 99999999U) {
                usec_t unknown = delay(REPLY_UNAUTHORIZED, 0, 0, random);
                usec_t twin = delay(REPLY_DUPLICATE, 0, 0, random);

                CHECK(unknown >= CLAIM_SLOW_MIN && unknown <= CLAIM_SLOW_MAX);
                CHECK(twin >= CLAIM_DUPLICATE_WAIT && twin <= CLAIM_DUPLICATE_WAIT + 5 * USEC_PER_SEC);
        }
}

static void test_retry_after(void) {
        CHECK(delay(REPLY_RETRY, 0, 20 * USEC_PER_SEC, 3) >= 20 * USEC_PER_SEC);
        CHECK(delay(REPLY_RETRY, 0, 20 * USEC_PER_SEC, UINT32_MAX) <= 30 * USEC_PER_SEC);
        CHECK(delay(REPLY_DUPLICATE, 0, 30 * USEC_PER_SEC, 3) >= 30 * USEC_PER_SEC);
}

int main(void) {
        RUN(test_answers);
        RUN(test_early);
        RUN(test_wait);
        RUN(test_failures);
        RUN(test_slow);
        RUN(test_retry_after);
        return 0;
}
