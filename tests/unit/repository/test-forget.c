/* SPDX-License-Identifier: Apache-2.0 */

#include "base/macros.h"
#include "repository/forget.h"
#include "tests/test.h"

#define SNAPSHOTS_MAX 16

/* Newest first; what is kept is a text of one letter each, 'k' or '.'. */
typedef struct Case {
        const char *times[SNAPSHOTS_MAX];
        ForgetPolicy policy;
        const char *kept;
} Case;

static Moment moment(const char *text) {
        Moment m;

        CHECK_OK(moment_parse(text, strlen(text), &m));
        return m;
}

static void check(const Case *c) {
        const Moment now = moment("2026-11-30T00:00:00Z");
        Moment times[SNAPSHOTS_MAX];
        ForgetReasons keep[SNAPSHOTS_MAX];
        char kept[SNAPSHOTS_MAX + 1] = "";
        size_t n = 0;

        for (; n < SNAPSHOTS_MAX && c->times[n]; n++)
                times[n] = moment(c->times[n]);
        forget_apply(&c->policy, times, n, &now, keep);
        for (size_t i = 0; i < n; i++)
                kept[i] = keep[i] != 0 ? 'k' : '.';
        CHECK_STR(kept, c->kept);
}

#define KEEP(rule, n) \
        { \
                .keep = { [FORGET_##rule] = (n) } \
        }
#define WITHIN(rule, ...) \
        { \
                .within = { [FORGET_##rule] = { __VA_ARGS__ } } \
        }

#define HOURS \
        { "2026-11-23T12:30:00Z", "2026-11-23T12:10:00Z", "2026-11-23T11:59:59Z", "2026-11-23T09:00:00Z", \
          "2026-11-22T09:30:00Z", "2026-11-22T09:00:00Z" }
/* Monday the 23rd begins a week; Sunday the 22nd and Monday the 16th are of one. Of 2020 the 53rd week ends
 * with January 3rd. */
#define WEEKS \
        { "2026-11-23T00:00:00Z", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z", "2026-11-15T00:00:00Z", \
          "2021-01-03T00:00:00Z", "2020-12-28T00:00:00Z", "2020-12-27T00:00:00Z" }
#define MONTHS \
        { "2026-11-01T00:00:00Z", "2026-10-31T23:00:00Z", "2026-10-01T00:00:00Z", "2025-10-31T00:00:00Z", \
          "2025-01-01T00:00:00Z", "2024-12-31T00:00:00Z" }

static void test_rules(void) {
        static const Case cases[] = {
                { HOURS, {}, "kkkkkk" },
                { HOURS, KEEP(LAST, 1), "k....." },
                { HOURS, KEEP(LAST, 4), "kkkk.." },
                { HOURS, KEEP(LAST, 400), "kkkkkk" },
                { HOURS, KEEP(HOURLY, 1), "k....." },
                { HOURS, KEEP(HOURLY, 3), "k.kk.." },
                { HOURS, KEEP(HOURLY, 9), "k.kkk." },
                { HOURS, KEEP(DAILY, 1), "k....." },
                { HOURS, KEEP(DAILY, 9), "k...k." },
                { WEEKS, KEEP(WEEKLY, 2), "kk....." },
                { WEEKS, KEEP(WEEKLY, 9), "kk.kk.k" },
                { MONTHS, KEEP(MONTHLY, 9), "kk.kkk" },
                { MONTHS, KEEP(YEARLY, 9), "k..k.k" },
                /* The rules add up. */
                { HOURS, { .keep = { [FORGET_LAST] = 2, [FORGET_DAILY] = 2 } }, "kk..k." },
                { { NULL }, KEEP(LAST, 3), "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(&cases[i]);
}

static void test_within(void) {
        static const Case cases[] = {
                { HOURS, WITHIN(LAST, .hours = 1), "kkk..." },
                { HOURS, WITHIN(LAST, .days = 1), "kkkk.." },
                { HOURS, WITHIN(LAST, .days = 1, .hours = 4), "kkkkkk" },
                { HOURS, WITHIN(HOURLY, .days = 2), "k.kkk." },
                { HOURS, WITHIN(DAILY, .days = 2), "k...k." },
                { MONTHS, WITHIN(LAST, .months = 1), "kk...." },
                { MONTHS, WITHIN(MONTHLY, .years = 1), "kk...." },
                { MONTHS, WITHIN(YEARLY, .years = 9), "k..k.k" },
                /* What is later than now is kept, and is not what the span is counted from. */
                { { "2027-01-01T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-22T12:00:00Z",
                    "2026-11-21T00:00:00Z" },
                  WITHIN(LAST, .days = 1),
                  "kkk." },
                /* A month before October 31st: September 31st, which is October 1st. */
                { { "2026-10-31T12:00:00Z", "2026-10-01T12:00:01Z", "2026-10-01T12:00:00Z",
                    "2026-09-30T13:00:00Z" },
                  WITHIN(LAST, .months = 1),
                  "kk.." },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(&cases[i]);
}

/* A day is that of the clock that wrote it. */
static void test_offsets(void) {
        static const Case cases[] = {
                { { "2026-11-23T01:00:00+02:00", "2026-11-22T23:30:00+02:00" }, KEEP(DAILY, 2), "kk" },
                { { "2026-11-22T23:00:00Z", "2026-11-22T21:30:00Z" }, KEEP(DAILY, 2), "k." },
                { { "2026-11-22T19:00:00-05:00", "2026-11-22T23:59:00Z" }, KEEP(DAILY, 2), "k." },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(&cases[i]);
}

static void test_spans(void) {
        static const char *const bad[] = { "1", "d", "1d2d", "1h1d", "1x", "-1d", "1d ", "100001h", "1.5d" };
        _cleanup_failure_ Failure f = FAILURE_NULL;
        ForgetSpan s;

        CHECK_OK(forget_span_parse("2y5m7d3h", &s, NULL));
        CHECK(s.years == 2 && s.months == 5 && s.days == 7 && s.hours == 3);
        CHECK_OK(forget_span_parse("14d", &s, NULL));
        CHECK(s.years == 0 && s.months == 0 && s.days == 14 && s.hours == 0);
        CHECK_OK(forget_span_parse("", &s, NULL));
        CHECK(s.years == 0 && s.months == 0 && s.days == 0 && s.hours == 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK_INT(forget_span_parse(bad[i], &s, &f), -EINVAL);
        CHECK_STR(f.code, "SPAN_INVALID");
}

int main(void) {
        RUN(test_rules);
        RUN(test_within);
        RUN(test_offsets);
        RUN(test_spans);
        return 0;
}
