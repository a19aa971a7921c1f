/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "services/scheduler/decide.h"
#include "tests/test.h"

static usec_t at(const char *text) {
        usec_t t;

        CHECK_OK(parse_rfc3339(text, &t));
        return t;
}

typedef struct Case {
        const char *expression;
        const char *next; /* NULL: none */
        const char *now;
        bool catch_up;

        const char *run_for; /* NULL: nothing is run */
        bool caught_up;
        const char *deadline;

        const char *missed_first; /* NULL: nothing is recorded */
        const char *missed_for;
        unsigned n_missed;

        const char *then; /* NULL: none any more */
} Case;

#define D "2026-11-23T"

static const Case cases[] = {
        /* Not yet. */
        { "0 2 * * *", D "02:00:00Z", D "01:59:59.999999Z", true, .then = D "02:00:00Z" },
        { "2020-01-01", NULL, D "01:59:59Z", true },
        /* On time, and a little late. */
        { "0 2 * * *", D "02:00:00Z", D "02:00:00Z", true, D "02:00:00Z", false, "2026-11-24T01:59:55Z",
          .then = "2026-11-24T02:00:00Z" },
        { "0 2 * * *", D "02:00:00Z", D "02:01:00Z", false, D "02:00:00Z", false, "2026-11-24T01:59:55Z",
          .then = "2026-11-24T02:00:00Z" },
        /* Too late: started once, or recorded. */
        { "0 2 * * *", D "02:00:00Z", D "02:01:01Z", true, D "02:00:00Z", true, "2026-11-24T01:59:55Z",
          .then = "2026-11-24T02:00:00Z" },
        { "0 2 * * *", D "02:00:00Z", D "02:01:01Z", false, .missed_first = D "02:00:00Z",
          .missed_for = D "02:00:00Z", .n_missed = 1, .then = "2026-11-24T02:00:00Z" },
        /* Several passed: one run for the latest of them, */
        { "0 2 * * *", "2026-11-20T02:00:00Z", D "12:00:00Z", true, D "02:00:00Z", true,
          "2026-11-24T01:59:55Z", .then = "2026-11-24T02:00:00Z" },
        /* or one record that counts them. */
        { "0 2 * * *", "2026-11-20T02:00:00Z", D "12:00:00Z", false, .missed_first = "2026-11-20T02:00:00Z",
          .missed_for = D "02:00:00Z", .n_missed = 4, .then = "2026-11-24T02:00:00Z" },
        /* The last one is on time, those before were missed. */
        { "0 * * * *", D "02:00:00Z", D "05:00:30Z", false, D "05:00:00Z", false, D "05:59:55Z",
          D "02:00:00Z", D "04:00:00Z", 3, D "06:00:00Z" },
        { "0 * * * *", D "02:00:00Z", D "05:00:30Z", true, D "05:00:00Z", false, D "05:59:55Z",
          .then = D "06:00:00Z" },
        /* Too many to count, quickly all the same. */
        { "* * * * * *", "2025-11-23T02:00:00Z", D "05:00:30Z", true, D "05:00:30Z", false, D "05:05:30Z",
          .then = D "05:00:31Z" },
        { "* * * * * *", "2025-11-23T02:00:00Z", D "05:00:30Z", false, D "05:00:30Z", false, D "05:05:30Z",
          "2025-11-23T02:00:00Z", D "05:00:29Z", DECIDE_COUNT_MAX, D "05:00:31Z" },
        { "* * 1 1 *", "2025-01-01T00:00:00Z", D "05:00:30Z", false, .missed_first = "2025-01-01T00:00:00Z",
          .missed_for = "2026-01-01T23:59:00Z", .n_missed = DECIDE_COUNT_MAX,
          .then = "2027-01-01T00:00:00Z" },
        /* A busy loop and a schedule of seconds: not a word about the missed ones. */
        { "*/5 * * * * *", D "02:00:00Z", D "02:00:17Z", false, D "02:00:15Z", false, D "02:05:17Z",
          .then = D "02:00:20Z" },
        /* The last one of all: it waits for a day. */
        { "2026-11-23 02:00", D "02:00:00Z", D "02:00:00Z", true, D "02:00:00Z", false,
          "2026-11-24T02:00:00Z" },
        /* A yearly one waits for a week. */
        { "2026,2027-11-23 02:00", D "02:00:00Z", D "02:00:00Z", true, D "02:00:00Z", false,
          "2026-11-30T02:00:00Z", .then = "2027-11-23T02:00:00Z" },
};

static void check_time(const char *what, const char *expression, usec_t t, const char *expected) {
        char text[RFC3339_MAX];

        if (t != (expected ? at(expected) : 0))
                TEST_FAIL("'%s': %s is %s, expected %s", expression, what, format_rfc3339(text, t),
                          expected ? expected : "none");
}

static void test_decide(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(timetable_freep) Timetable *t = NULL;
                const Case *c = cases + i;
                Decision d;

                CHECK_OK(timetable_new(c->expression, "UTC", &t, NULL));
                CHECK_OK(decide(t, c->next ? at(c->next) : 0, c->catch_up, at(c->now), &d));
                CHECK_INT(d.run, c->run_for != NULL);
                CHECK_INT(d.missed, c->missed_for != NULL);
                check_time("run_for", c->expression, d.run_for, c->run_for);
                check_time("deadline", c->expression, d.deadline, c->deadline);
                check_time("missed_first", c->expression, d.missed_first, c->missed_first);
                check_time("missed_for", c->expression, d.missed_for, c->missed_for);
                check_time("next", c->expression, d.next, c->then);
                CHECK_INT(d.n_missed, c->n_missed);
                CHECK_INT(d.caught_up, c->caught_up);
                if (d.run)
                        CHECK_INT(d.last, d.run_for);
        }
}

/* The clock is set back behind elapses that were decided, forward, and not at all. */
static void test_step(void) {
        static const struct {
                const char *expression, *next, *now, *expected;
        } steps[] = {
                { "0 2 * * *", "2026-11-24T02:00:00Z", D "05:00:00Z", "2026-11-24T02:00:00Z" },
                { "0 2 * * *", "2026-12-24T02:00:00Z", D "05:00:00Z", "2026-11-24T02:00:00Z" },
                { "0 2 * * *", "2026-11-24T02:00:00Z", D "01:00:00Z", D "02:00:00Z" },
                { "0 2 * * *", "2026-11-20T02:00:00Z", D "05:00:00Z", "2026-11-20T02:00:00Z" },
                { "2026-11-23 02:00", NULL, D "01:00:00Z", D "02:00:00Z" },
                { "2026-11-23 02:00", D "02:00:00Z", D "03:00:00Z", D "02:00:00Z" },
        };

        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                _cleanup_(timetable_freep) Timetable *t = NULL;
                usec_t next;

                CHECK_OK(timetable_new(steps[i].expression, "UTC", &t, NULL));
                CHECK_OK(decide_next_after_step(t, steps[i].next ? at(steps[i].next) : 0, at(steps[i].now),
                                                &next));
                check_time("next", steps[i].expression, next, steps[i].expected);
        }
}

/* However the clock runs, every elapse is decided once when nothing is down. */
static void test_walk(void) {
        _cleanup_(timetable_freep) Timetable *t = NULL;
        usec_t now = at("2026-10-24T00:00:00Z"), next;
        unsigned runs = 0;

        CHECK_OK(timetable_new("30 2 * * *", "Europe/Berlin", &t, NULL));
        CHECK_OK(timetable_next(t, now, &next));
        for (unsigned i = 0; i < 3 * 24 * 120; i++, now += 30 * USEC_PER_SEC) {
                Decision d;

                CHECK_OK(decide(t, next, true, now, &d));
                CHECK(!d.missed && !d.caught_up);
                runs += d.run;
                next = d.next;
        }
        CHECK_INT(runs, 3);
}

int main(void) {
        RUN(test_decide);
        RUN(test_step);
        RUN(test_walk);
        return 0;
}
