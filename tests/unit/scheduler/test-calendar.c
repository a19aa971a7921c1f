/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/calendar.h"

typedef struct Case {
        const char *expression;
        const char *zone;
        const char *after;
        const char *next[6]; /* ends with NULL; "never" is one */
} Case;

static void check_case(const Case *c) {
        _cleanup_(timetable_freep) Timetable *s = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        char text[RFC3339_MAX];
        usec_t t;
        int r;

        r = timetable_new(c->expression, c->zone, &s, &failure);
        if (r < 0)
                TEST_FAIL("'%s' in %s is refused: %s", c->expression, c->zone, failure_message(&failure, r));
        CHECK_OK(parse_rfc3339(c->after, &t));
        for (size_t i = 0; i < ELEMENTSOF(c->next) && c->next[i]; i++) {
                usec_t expected;

                r = timetable_next(s, t, &t);
                CHECK(r >= 0);
                if (streq(c->next[i], "never")) {
                        CHECK_INT(r, CALENDAR_E_NEVER);
                        return;
                }
                CHECK_INT(r, 0);
                CHECK_OK(parse_rfc3339(c->next[i], &expected));
                if (t != expected)
                        TEST_FAIL("'%s' in %s after %s: number %zu is %s, expected %s", c->expression,
                                  c->zone, c->after, i + 1, format_rfc3339(text, t), c->next[i]);
        }
}

static void check_cases(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++)
                check_case(cases + i);
}

static void test_cron(void) {
        static const Case cases[] = {
                { "0 2 * * *",
                  "UTC",
                  "2026-11-22T22:15:01Z",
                  { "2026-11-23T02:00:00Z", "2026-11-24T02:00:00Z" } },
                { "0 2 * * *", "UTC", "2026-11-23T02:00:00Z", { "2026-11-24T02:00:00Z" } },
                { "0 2 * * *", "UTC", "2026-11-23T01:59:59.999999Z", { "2026-11-23T02:00:00Z" } },
                { "*/20 * * * *",
                  "UTC",
                  "2026-11-23T23:41:00Z",
                  { "2026-11-24T00:00:00Z", "2026-11-24T00:20:00Z" } },
                { "5-10/2 1,3 * * *",
                  "UTC",
                  "2026-01-01T01:06:00Z",
                  { "2026-01-01T01:07:00Z", "2026-01-01T01:09:00Z", "2026-01-01T03:05:00Z" } },
                { "50/5 4 * * *",
                  "UTC",
                  "2026-01-01T04:50:00Z",
                  { "2026-01-01T04:55:00Z", "2026-01-02T04:50:00Z" } },
                { "30 5 * * * *",
                  "UTC",
                  "2026-01-01T00:00:00Z",
                  { "2026-01-01T00:05:30Z", "2026-01-01T01:05:30Z" } },
                { "*/25 * * * * *",
                  "UTC",
                  "2026-01-01T00:00:00Z",
                  { "2026-01-01T00:00:25Z", "2026-01-01T00:00:50Z", "2026-01-01T00:01:00Z" } },
                { "0 0 * jan,DEC mon-wed",
                  "UTC",
                  "2026-02-01T00:00:00Z",
                  { "2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z", "2026-12-07T00:00:00Z" } },
                { "0 0 29 2 *",
                  "UTC",
                  "2026-01-01T00:00:00Z",
                  { "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z" } },
                { "0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", { "2104-02-29T00:00:00Z" } },
                /* Either day is enough when both are restricted, */
                { "0 0 13 * 5",
                  "UTC",
                  "2026-11-01T00:00:00Z",
                  { "2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z",
                    "2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z" } },
                { "0 0 12 * 5",
                  "UTC",
                  "2026-11-10T00:00:00Z",
                  { "2026-11-12T00:00:00Z", "2026-11-13T00:00:00Z" } },
                /* and both must match when one begins with a star. */
                { "0 0 */2 * 1",
                  "UTC",
                  "2026-11-01T00:00:00Z",
                  { "2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z" } },
                { "0 0 1 * ?", "UTC", "2026-11-02T00:00:00Z", { "2026-12-01T00:00:00Z" } },
                { "0 0 * * 0", "UTC", "2026-11-23T00:00:00Z", { "2026-11-29T00:00:00Z" } },
                { "0 0 * * 7", "UTC", "2026-11-23T00:00:00Z", { "2026-11-29T00:00:00Z" } },
                { "0 0 * * 5-7",
                  "UTC",
                  "2026-11-23T00:00:00Z",
                  { "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z",
                    "2026-12-04T00:00:00Z" } },
                { "@yearly",
                  "UTC",
                  "2026-11-23T00:00:00Z",
                  { "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z" } },
                { "@annually", "UTC", "2026-11-23T00:00:00Z", { "2027-01-01T00:00:00Z" } },
                { "@monthly", "UTC", "2026-11-23T00:00:00Z", { "2026-12-01T00:00:00Z" } },
                { "@weekly", "UTC", "2026-11-23T00:00:00Z", { "2026-11-29T00:00:00Z" } },
                { "@daily", "UTC", "2026-11-23T00:00:00Z", { "2026-11-24T00:00:00Z" } },
                { " @midnight ", "UTC", "2026-11-23T00:00:00Z", { "2026-11-24T00:00:00Z" } },
                { "@hourly", "UTC", "2026-11-23T00:00:00Z", { "2026-11-23T01:00:00Z" } },
                { "\t0  2\t* *  * ", "UTC", "2026-11-22T22:15:01Z", { "2026-11-23T02:00:00Z" } },
        };

        check_cases(cases, ELEMENTSOF(cases));
}

static void test_events(void) {
        static const Case cases[] = {
                { "Mon..Fri 02:30",
                  "UTC",
                  "2026-11-20T12:00:00Z",
                  { "2026-11-23T02:30:00Z", "2026-11-24T02:30:00Z" } },
                { "Mon-Fri 02:30", "UTC", "2026-11-20T12:00:00Z", { "2026-11-23T02:30:00Z" } },
                { "Saturday,sun",
                  "UTC",
                  "2026-11-23T00:00:00Z",
                  { "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z" } },
                { "*-*-1 00:00",
                  "UTC",
                  "2026-11-23T00:00:00Z",
                  { "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z" } },
                { "*-*~1",
                  "UTC",
                  "2026-01-31T00:00:00Z",
                  { "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z" } },
                { "*-02~03",
                  "UTC",
                  "2026-01-31T00:00:00Z",
                  { "2026-02-26T00:00:00Z", "2027-02-26T00:00:00Z", "2028-02-27T00:00:00Z" } },
                { "Mon *-05~07/1",
                  "UTC",
                  "2026-01-01T00:00:00Z",
                  { "2026-05-25T00:00:00Z", "2027-05-31T00:00:00Z" } },
                { "*-*~01..03",
                  "UTC",
                  "2026-11-01T00:00:00Z",
                  { "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z",
                    "2026-12-29T00:00:00Z" } },
                { "*:0/15",
                  "UTC",
                  "2026-11-23T00:50:00Z",
                  { "2026-11-23T01:00:00Z", "2026-11-23T01:15:00Z" } },
                { "*:*:0/30", "UTC", "2026-11-23T00:50:00Z", { "2026-11-23T00:50:30Z" } },
                { "12..14:10,20,30",
                  "UTC",
                  "2026-11-23T12:25:00Z",
                  { "2026-11-23T12:30:00Z", "2026-11-23T13:10:00Z" } },
                { "10-15", "UTC", "2026-11-23T00:00:00Z", { "2027-10-15T00:00:00Z" } },
                { "2027-03-05T05:40", "UTC", "2026-11-23T00:00:00Z", { "2027-03-05T05:40:00Z", "never" } },
                { "27-3-5 5:40:11", "UTC", "2026-11-23T00:00:00Z", { "2027-03-05T05:40:11Z", "never" } },
                { "2020-01-01", "UTC", "2026-11-23T00:00:00Z", { "never" } },
                { "2026..2028-1-1",
                  "UTC",
                  "2026-11-23T00:00:00Z",
                  { "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "never" } },
                { "daily", "UTC", "2026-11-23T00:00:00Z", { "2026-11-24T00:00:00Z" } },
                { "Hourly", "UTC", "2026-11-23T00:00:00Z", { "2026-11-23T01:00:00Z" } },
                { "minutely", "UTC", "2026-11-23T00:00:00Z", { "2026-11-23T00:01:00Z" } },
                { "weekly", "UTC", "2026-11-24T00:00:00Z", { "2026-11-30T00:00:00Z" } },
                { "monthly", "UTC", "2026-11-24T00:00:00Z", { "2026-12-01T00:00:00Z" } },
                { "quarterly",
                  "UTC",
                  "2026-11-24T00:00:00Z",
                  { "2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z" } },
                { "semiannually",
                  "UTC",
                  "2026-11-24T00:00:00Z",
                  { "2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z" } },
                { "yearly", "UTC", "2026-11-24T00:00:00Z", { "2027-01-01T00:00:00Z" } },
                { "daily Asia/Tokyo", "UTC", "2026-11-23T00:00:00Z", { "2026-11-23T15:00:00Z" } },
                { "Mon 02:00 Europe/Berlin",
                  "Asia/Tokyo",
                  "2026-11-20T00:00:00Z",
                  { "2026-11-23T01:00:00Z" } },
                { "02:00", "Asia/Kathmandu", "2026-11-20T00:00:00Z", { "2026-11-20T20:15:00Z" } },
                { "2199-12-31 23:59:59",
                  "Pacific/Honolulu",
                  "2026-01-01T00:00:00Z",
                  { "2200-01-01T09:59:59Z", "never" } },
        };

        check_cases(cases, ELEMENTSOF(cases));
}

/* Clocks go forward: what does not exist happens at the first instant after the gap, once. */
static void test_gaps(void) {
        static const Case cases[] = {
                /* 29 March 2026, 02:00 → 03:00, at 01:00Z */
                { "30 2 * * *",
                  "Europe/Berlin",
                  "2026-03-28T00:00:00Z",
                  { "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z" } },
                { "*/10 2 * * *",
                  "Europe/Berlin",
                  "2026-03-28T12:00:00Z",
                  { "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:10:00Z" } },
                { "30 2,3 * * *",
                  "Europe/Berlin",
                  "2026-03-28T12:00:00Z",
                  { "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z" } },
                { "0 2,3 * * *",
                  "Europe/Berlin",
                  "2026-03-28T12:00:00Z",
                  { "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z" } },
                { "Sun 02:30",
                  "Europe/Berlin",
                  "2026-03-28T12:00:00Z",
                  { "2026-03-29T01:00:00Z", "2026-04-05T00:30:00Z" } },
                { "0 */2 * * *",
                  "Europe/Berlin",
                  "2026-03-28T22:30:00Z",
                  { "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z",
                    "2026-03-29T04:00:00Z" } },
                /* Asked in the middle of it, and just behind it. */
                { "30 2 * * *", "Europe/Berlin", "2026-03-29T00:59:59.5Z", { "2026-03-29T01:00:00Z" } },
                { "30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", { "2026-03-30T00:30:00Z" } },
                /* Far in the future, by the rule in the footer. */
                { "30 2 * * *",
                  "Europe/Berlin",
                  "2101-03-26T12:00:00Z",
                  { "2101-03-27T01:00:00Z", "2101-03-28T00:30:00Z" } },
                /* Real time takes no notice. */
                { "30 * * * *",
                  "Europe/Berlin",
                  "2026-03-29T00:00:00Z",
                  { "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z" } },
                { "*:0/30",
                  "Europe/Berlin",
                  "2026-03-29T00:10:00Z",
                  { "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z" } },
                /* 8 March 2026, 02:00 → 03:00, at 07:00Z */
                { "30 2 * * *",
                  "America/New_York",
                  "2026-03-07T12:00:00Z",
                  { "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z" } },
                /* Half an hour, in spring of the south: 4 October 2026, 02:00 → 02:30, at 15:30Z the day
                 * before */
                { "15 2 * * *",
                  "Australia/Lord_Howe",
                  "2026-10-02T16:00:00Z",
                  { "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z" } },
                { "45 2 * * *",
                  "Australia/Lord_Howe",
                  "2026-10-02T16:30:00Z",
                  { "2026-10-03T15:45:00Z", "2026-10-04T15:45:00Z" } },
                /* Midnight itself is missing: Santiago, 6 September 2026, 00:00 → 01:00, at 04:00Z */
                { "0 0 * * *",
                  "America/Santiago",
                  "2026-09-05T05:00:00Z",
                  { "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z" } },
                /* Beirut, 29 March 2026, 00:00 → 01:00, at 22:00Z the day before */
                { "daily",
                  "Asia/Beirut",
                  "2026-03-28T12:00:00Z",
                  { "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z" } },
                /* A whole day was left out: Apia, 30 December 2011 */
                { "0 12 * * *",
                  "Pacific/Apia",
                  "2011-12-29T00:00:00Z",
                  { "2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z" } },
                { "0 12 30 12 *",
                  "Pacific/Apia",
                  "2011-12-29T00:00:00Z",
                  { "2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z" } },
        };

        check_cases(cases, ELEMENTSOF(cases));
}

/* Clocks go back: what exists twice happens at the first of the two. */
static void test_overlaps(void) {
        static const Case cases[] = {
                /* 25 October 2026, 03:00 → 02:00, at 01:00Z */
                { "30 2 * * *",
                  "Europe/Berlin",
                  "2026-10-24T12:00:00Z",
                  { "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z" } },
                { "0 3 * * *",
                  "Europe/Berlin",
                  "2026-10-24T12:00:00Z",
                  { "2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z" } },
                { "*/30 2 * * *",
                  "Europe/Berlin",
                  "2026-10-24T12:00:00Z",
                  { "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:00:00Z" } },
                /* Asked between the two, and during the second. */
                { "30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", { "2026-10-26T01:30:00Z" } },
                { "30 2 * * *", "Europe/Berlin", "2026-10-25T01:15:00Z", { "2026-10-26T01:30:00Z" } },
                { "30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00Z", { "2026-10-26T01:30:00Z" } },
                { "30 2 * * *",
                  "Europe/Berlin",
                  "2101-10-29T12:00:00Z",
                  { "2101-10-30T00:30:00Z", "2101-10-31T01:30:00Z" } },
                /* Every hour is every hour. */
                { "30 * * * *",
                  "Europe/Berlin",
                  "2026-10-25T00:00:00Z",
                  { "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z" } },
                { "*/30 * * * *",
                  "Europe/Berlin",
                  "2026-10-25T00:10:00Z",
                  { "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z" } },
                /* 1 November 2026, 02:00 → 01:00, at 06:00Z */
                { "30 1 * * *",
                  "America/New_York",
                  "2026-10-31T12:00:00Z",
                  { "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z" } },
                /* 5 April 2026, 02:00 → 01:30, at 15:00Z the day before */
                { "45 1 * * *",
                  "Australia/Lord_Howe",
                  "2026-04-03T15:00:00Z",
                  { "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z" } },
                { "30 1 * * *",
                  "Australia/Lord_Howe",
                  "2026-04-03T15:00:00Z",
                  { "2026-04-04T14:30:00Z", "2026-04-05T15:00:00Z" } },
                { "*:0/15",
                  "Australia/Lord_Howe",
                  "2026-04-04T14:40:00Z",
                  { "2026-04-04T14:45:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:15:00Z",
                    "2026-04-04T15:30:00Z" } },
                /* Midnight twice: Santiago, 5 April 2026, 00:00 → 23:00 of 4 April, at 03:00Z */
                { "30 23 * * *",
                  "America/Santiago",
                  "2026-04-04T12:00:00Z",
                  { "2026-04-05T02:30:00Z", "2026-04-06T03:30:00Z" } },
                { "0 0 * * *",
                  "America/Santiago",
                  "2026-04-04T12:00:00Z",
                  { "2026-04-05T04:00:00Z", "2026-04-06T04:00:00Z" } },
                /* Sydney, 5 April 2026, 03:00 → 02:00, at 16:00Z the day before */
                { "30 2 * * *",
                  "Australia/Sydney",
                  "2026-04-04T00:00:00Z",
                  { "2026-04-04T15:30:00Z", "2026-04-05T16:30:00Z" } },
        };

        check_cases(cases, ELEMENTSOF(cases));
}

static void test_refused(void) {
        static const struct {
                const char *expression;
                const char *message;
        } cases[] = {
                { "", "column 1: an expression is missing" },
                { "   ", "column 1: an expression is missing" },
                { "60 * * * *", "column 1: this minute is above 59" },
                { "0 24 * * *", "column 3: this hour is above 23" },
                { "0 0 0 * *", "column 5: this day of the month is under 1" },
                { "0 0 32 * *", "column 5: this day of the month is above 31" },
                { "0 0 * 13 *", "column 7: this month is above 12" },
                { "0 0 * * 8", "column 9: this weekday is above 7" },
                { "0 0 * * Mo", "column 9: 'Mo' is not a weekday" },
                { "0 0 * Febr *", "column 7: 'Febr' is not a month" },
                { "5-1 * * * *", "column 1: this range goes backwards" },
                { "*/0 * * * *", "column 3: a step of 0 goes nowhere" },
                { "*/ * * * *", "column 3: a number is missing behind '/'" },
                { "1,, * * * *", "column 3: ',' cannot be in the minute" },
                { "1, * * * *", "column 3: the minute is missing here" },
                { "1x * * * *", "column 2: this is not part of the minute" },
                { "0 0 L * *", "column 5: 'L' cannot be in the day of the month" },
                { "0 0 30 2 *", "column 5: no year has such a day" },
                { "0 0 31 4,6,9,11 *", "column 5: no year has such a day" },
                { "* * * *", "column 8: a cron expression has 5 or 6 fields, this has 4" },
                { "0 0 0 0 0 0 0", "column 14: a cron expression has 5 or 6 fields, this has 7" },
                { "@fortnightly", "column 1: there are @yearly" },
                { "@reboot", "column 1: @reboot and @every" },
                { "@every 1h", "column 1: @reboot and @every" },
                { "*-02-30", "column 6: no year has such a day" },
                { "2026-02-29", "column 9: no year has such a day" },
                { "Mon 2026-11-24", "column 13: no year has such a day" },
                { "25:00", "column 1: this hour is above 23" },
                { "02:60", "column 4: this minute is above 59" },
                { "02", "column 3: ':' and a minute are expected here" },
                { "02:00:00.5", "column 9: fractions of a second are not supported" },
                { "Mon..Foo 02:00", "column 6: 'Foo' is not a weekday" },
                { "Fri..Mon 02:00", "column 1: this range goes backwards" },
                { "Mon 02:00 Europe/Berlin x", "column 25: nothing can follow here" },
                { "*-*~29", "column 5: this day before the end is above 28" },
                { "*-13-01", "column 3: this month is above 12" },
                { "1969-01-01", "column 1: years go from 1970 to 2199" },
                { "2200-01-01", "column 1: this year is above 2199" },
                { "Someday", "column 1: a weekday, a date, a time" },
                { "../../etc/passwd", "column 1: " },
                { "daily ../../etc/passwd", "column 7: " },
                { "t\303\244glich", "column 1: " },
                { "0 \303\244 * * *", "column 3: this character cannot be in the hour" },
        };
        CalendarSpec spec;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                int r;

                r = calendar_parse(cases[i].expression, &spec, &failure);
                if (r != -EINVAL)
                        TEST_FAIL("'%s' gives %d", cases[i].expression, r);
                CHECK_STR(failure.code, "SCHEDULE_INVALID");
                if (!startswith(failure.message, cases[i].message))
                        TEST_FAIL("'%s' gives '%s', expected '%s'", cases[i].expression, failure.message,
                                  cases[i].message);
        }
}

static void test_too_long(void) {
        char text[CALENDAR_TEXT_MAX + 2];
        CalendarSpec spec;

        memset(text, ' ', sizeof text);
        memcpy(text, "daily", 5);
        text[sizeof text - 1] = 0;
        CHECK_INT(calendar_parse(text, &spec, NULL), -EINVAL);
        text[sizeof text - 2] = 0;
        CHECK_INT(calendar_parse(text, &spec, NULL), 0);
}

static void test_zones(void) {
        static const char *const refused[] = {
                "../UTC",
                "/etc/localtime",
                "Europe/../UTC",
                "Europe//Berlin",
                "Europe/",
                "Europe",
                "Nowhere/Town",
                "UTC ",
                "-",
                "right/UTC",
                "tzdata.zi",
                "zone.tab",
                "Europe/Berlin\n",
                "posixrules/x",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        };
        _cleanup_(timetable_freep) Timetable *s = NULL;

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                if (timetable_new("daily", refused[i], &s, &failure) != -EINVAL)
                        TEST_FAIL("The zone '%s' is not refused", refused[i]);
                CHECK_STR(failure.code, "TIMEZONE_INVALID");
        }
        CHECK_OK(timetable_new("daily", NULL, &s, NULL));
        s = timetable_free(s);
        CHECK_OK(timetable_new("daily", "", &s, NULL));
}

/* No expression makes the search long: the dearest ones a second time, counted in days. */
static void test_bounded(void) {
        static const char *const expressions[] = { "0 0 29 2 1", "Mon *-02-29 00:00:00",
                                                   "2199-12-31 23:59:59", "59 59 23 31 12 *",
                                                   "Sun 2196-02-29" };
        struct timespec before, behind;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
        for (size_t i = 0; i < ELEMENTSOF(expressions); i++) {
                _cleanup_(timetable_freep) Timetable *s = NULL;
                usec_t t = 0;
                int r = 0;

                if (timetable_new(expressions[i], "Europe/Berlin", &s, NULL) < 0)
                        continue;
                for (unsigned n = 0; n < 1000 && r == 0; n++)
                        r = timetable_next(s, t, &t);
                CHECK(r == 0 || r == CALENDAR_E_NEVER);
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &behind);
        CHECK(behind.tv_sec - before.tv_sec < 10);
}

int main(void) {
        RUN(test_cron);
        RUN(test_events);
        RUN(test_gaps);
        RUN(test_overlaps);
        RUN(test_refused);
        RUN(test_too_long);
        RUN(test_zones);
        RUN(test_bounded);
        return 0;
}
