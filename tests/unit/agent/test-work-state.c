/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/daemon/work-state.h"
#include "tests/test.h"

#define A WORK_ACCEPTING
#define W WORK_WAITING
#define S WORK_STARTING
#define R WORK_RUNNING
#define O WORK_ORPHANED
#define L WORK_LOST
#define P WORK_REPORTING
#define D WORK_DISCARDING
#define E WORK_ENDED

/* The whole table, as it is meant: a row per state, a column per event. */
static const WorkState expected[_WORK_STATE_MAX][_WORK_EVENT_MAX] = {
        /*                       accepted stale clear hello not-started result line-lost gone alive claimed
           cancel reported */
        [WORK_ACCEPTING] = { W, E, A, A, P, A, A, A, A, A, P, A },
        [WORK_WAITING] = { W, E, S, W, P, W, W, W, W, W, P, W },
        [WORK_STARTING] = { S, E, S, R, P, S, S, S, S, S, P, S },
        [WORK_RUNNING] = { R, D, R, R, R, P, O, R, R, R, R, R },
        [WORK_ORPHANED] = { O, D, O, O, O, P, O, P, O, O, O, O },
        [WORK_LOST] = { L, E, L, L, L, P, L, L, O, P, L, L },
        [WORK_REPORTING] = { P, E, P, P, P, P, P, P, P, P, P, E },
        [WORK_DISCARDING] = { D, D, D, D, D, E, D, E, D, D, D, D },
        [WORK_ENDED] = { E, E, E, E, E, E, E, E, E, E, E, E },
};

static void test_table(void) {
        for (WorkState s = 0; s < _WORK_STATE_MAX; s++)
                for (WorkEvent e = 0; e < _WORK_EVENT_MAX; e++)
                        if (work_state_after(s, e) != expected[s][e])
                                TEST_FAIL("%s, %s: %s, expected %s", work_state_to_string(s),
                                          work_event_to_string(e),
                                          work_state_to_string(work_state_after(s, e)),
                                          work_state_to_string(expected[s][e]));
}

/* From everywhere there is a way to the end. */
static void test_no_dead_end(void) {
        for (WorkState from = 0; from < _WORK_STATE_MAX; from++) {
                bool reached[_WORK_STATE_MAX] = {};

                reached[from] = true;
                for (unsigned round = 0; round < _WORK_STATE_MAX; round++)
                        for (WorkState s = 0; s < _WORK_STATE_MAX; s++)
                                for (WorkEvent e = 0; reached[s] && e < _WORK_EVENT_MAX; e++)
                                        reached[work_state_after(s, e)] = true;
                if (!reached[WORK_ENDED])
                        TEST_FAIL("no way from %s to the end", work_state_to_string(from));
        }
}

/* Nothing that was ever accepted may vanish without a word, unless the master says that it is not ours. */
static void test_only_the_master_drops(void) {
        for (WorkState s = 0; s < WORK_ENDED; s++)
                for (WorkEvent e = 0; e < _WORK_EVENT_MAX; e++) {
                        bool dropped = work_state_after(s, e) == WORK_ENDED;

                        if (dropped && e != WORK_EVENT_STALE && e != WORK_EVENT_REPORTED &&
                            s != WORK_DISCARDING)
                                TEST_FAIL("%s, %s ends the work silently", work_state_to_string(s),
                                          work_event_to_string(e));
                }
}

static void test_filters(void) {
        /* What is lost is not named as held: the master can deliver it again. Everything else that was
         * delivered is, or it would be delivered twice. */
        CHECK(!work_state_is_held(WORK_LOST));
        CHECK(work_state_is_held(WORK_ACCEPTING));
        CHECK(work_state_is_held(WORK_REPORTING));
        CHECK(!work_state_is_running(WORK_ACCEPTING));
        CHECK(work_state_is_running(WORK_ORPHANED));
        CHECK(work_state_is_running(WORK_REPORTING));
        CHECK(!work_state_takes_place(WORK_REPORTING));
        CHECK(work_state_takes_place(WORK_DISCARDING));
        for (WorkState s = 0; s < _WORK_STATE_MAX; s++)
                if (work_state_is_running(s))
                        CHECK(work_state_is_held(s));
}

int main(void) {
        RUN(test_table);
        RUN(test_no_dead_end);
        RUN(test_only_the_master_drops);
        RUN(test_filters);
        return 0;
}
