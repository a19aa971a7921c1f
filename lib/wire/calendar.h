#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* When something is to happen: cron expressions of five and six fields and systemd's calendar events, both
 * parsed into one value, and the pure function that finds the next time. Nothing here reads a clock; only
 * timetable_new() reads a file (of the time zone database). No expression can make the search run for
 * ever: years end with CALENDAR_YEAR_MAX, and a date that no year has (30 February) is refused when it is
 * parsed.
 *
 * What happens when clocks are changed:
 *
 *   - An expression that names its hours follows the wall clock. A time that does not exist, since clocks
 *     went forward over it, happens at the first instant after the gap: once, however many of its times
 *     were in the gap, and once together with a time that falls on that instant anyway. A time that exists
 *     twice, since clocks went back, happens once: the first time.
 *   - An expression that leaves the hour open ('*': hourly, every ten minutes) follows real time. It
 *     happens in the hour that exists twice both times, and nothing is moved out of a gap: an hour that
 *     does not exist takes no time. */

#include "base/failure.h"
#include "base/times.h"
#include "wire/zone.h"

#define CALENDAR_YEAR_MIN 1970
/* As systemd's; also what bounds every search. */
#define CALENDAR_YEAR_MAX 2199
/* Longer than any expression that a person reads. */
#define CALENDAR_TEXT_MAX 256

enum {
        /* Positive outcomes. */
        CALENDAR_E_NEVER = 1, /* there is no such time any more */
};

typedef struct CalendarSpec {
        uint64_t years[4]; /* bit n is CALENDAR_YEAR_MIN + n */
        uint64_t seconds;
        uint64_t minutes;
        uint32_t hours;
        uint32_t days;                /* bits 1 … 31 */
        uint32_t days_back;           /* bit n is the nth last day of the month */
        uint16_t months;              /* bits 1 … 12 */
        uint8_t weekdays;             /* bit 0 is Sunday */
        bool day_or_weekday;          /* cron's rule: one of the two is enough when both are restricted */
        char zone[ZONE_NAME_MAX + 1]; /* named in the expression itself, else empty */
} CalendarSpec;

/* Parses an expression. -EINVAL and a failure SCHEDULE_INVALID that begins with the place, "column 5: ". */
int calendar_parse(const char *text, CalendarSpec *ret, Failure *reterr_failure) _warn_unused_;

/* The first time after this one, in this zone. Times are whole seconds. CALENDAR_E_NEVER: none. */
int calendar_next(const CalendarSpec *spec, usec_t after, const Zone *zone, usec_t *ret) _warn_unused_;

/* An expression together with its zone. */
typedef struct Timetable Timetable;

/* The zone named in the expression wins over zone; where that is empty or NULL too, times are those of
 * this machine (/etc/localtime, else UTC). -EINVAL with the failure SCHEDULE_INVALID or TIMEZONE_INVALID. */
int timetable_new(const char *expression, const char *zone, Timetable **ret,
                  Failure *reterr_failure) _warn_unused_;
Timetable *timetable_free(Timetable *s);
int timetable_next(const Timetable *s, usec_t after, usec_t *ret) _warn_unused_;

DEFINE_CLEANUP(Timetable *, timetable_free);
