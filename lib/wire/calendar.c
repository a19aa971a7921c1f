/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/calendar-spec.h"
#include "wire/calendar.h"
#include "wire/civil.h"

/* Offsets are under 27 hours either way, so that clocks never go back by more than this: what they showed
 * before then is of no account. */
#define LOOK_BACK (INT64_C(3) * SECONDS_PER_DAY)
/* Behind the last year in every zone. */
#define END_OF_TIME (INT64_C(7258204800)) /* 2200-01-02 00:00:00 UTC */

static size_t count_fields(const char *text) {
        size_t n = 0;

        for (size_t i = 0; text[i]; i++)
                n += !strchr(" \t", text[i]) && (i == 0 || strchr(" \t", text[i - 1]));
        return n;
}

/* An event has at most four parts and always a letter, a ':' or a '-' where a cron with the wrong number of
 * fields has none. */
static bool looks_like_cron(const char *text) {
        return text[strspn(text, " \t0123456789*,/?-")] == 0 && !strchr(text, '-');
}

int calendar_parse(const char *text, CalendarSpec *ret, Failure *reterr_failure) {
        CalendarScan s = { .text = text, .failure = reterr_failure };
        CalendarSpec spec;
        int64_t never;
        size_t n;
        int r;

        assert(text);
        assert(ret);

        n = count_fields(text);
        if (n == 0)
                return calendar_scan_fail(&s, 0,
                                          "an expression is missing; '0 2 * * *' and 'daily' are some");
        if (strlen(text) > CALENDAR_TEXT_MAX)
                return calendar_scan_fail(&s, CALENDAR_TEXT_MAX, "expressions are not longer than this");
        if (text[strspn(text, " \t")] == '@' || n == 5 || n == 6)
                r = calendar_parse_cron(&s, &spec);
        else if (n > 4 || (n > 1 && looks_like_cron(text)))
                return calendar_scan_fail(&s, strlen(text),
                                          "a cron expression has 5 or 6 fields, this has %zu", n);
        else
                r = calendar_parse_event(&s, &spec);
        if (r < 0)
                return r;

        r = calendar_spec_find(&spec, 0, END_OF_TIME, &never);
        if (r == CALENDAR_E_NEVER)
                return calendar_scan_fail(&s, s.day_at, "no year has such a day");
        *ret = spec;
        return 0;
}

/* Real time: each stretch of one offset is searched for itself. */
static int next_in_segment(const CalendarSpec *spec, ZoneSegment segment, int64_t from, int64_t *ret) {
        int64_t end = MIN(segment.end, END_OF_TIME), found;
        int r;

        from = MAX(from, segment.start);
        if (from >= end)
                return CALENDAR_E_NEVER;
        r = calendar_spec_find(spec, from + segment.offset, end + segment.offset, &found);
        if (r == 0)
                *ret = found - segment.offset;
        return r;
}

/* The wall clock: shown is the highest time that it has shown before this stretch. What lies below was there
 * already, and what lies between shown and the start of the stretch was left out. */
static int next_on_wall(const CalendarSpec *spec, ZoneSegment segment, int64_t shown, int64_t from,
                        int64_t *ret) {
        int64_t left_out;

        if (segment.start != INT64_MIN && segment.start >= from && segment.start < END_OF_TIME &&
            calendar_spec_find(spec, shown, segment.start + segment.offset, &left_out) == 0) {
                *ret = segment.start;
                return 0;
        }
        return next_in_segment(spec, segment, MAX(from, shown - segment.offset), ret);
}

int calendar_next(const CalendarSpec *spec, usec_t after, const Zone *zone, usec_t *ret) {
        bool real = calendar_spec_every_hour(spec);
        int64_t from, t, shown = INT64_MIN, found;
        int r;

        assert(spec);
        assert(zone);
        assert(ret);

        if (after / USEC_PER_SEC >= END_OF_TIME)
                return CALENDAR_E_NEVER;
        from = (int64_t) (after / USEC_PER_SEC) + 1;

        for (t = real ? from : from - LOOK_BACK; t < END_OF_TIME;) {
                ZoneSegment segment = zone_segment(zone, t);

                if (real)
                        r = next_in_segment(spec, segment, from, &found);
                else {
                        if (shown == INT64_MIN)
                                shown = t + segment.offset;
                        r = next_on_wall(spec, segment, shown, from, &found);
                        if (segment.end != INT64_MAX)
                                shown = MAX(shown, segment.end + segment.offset);
                }
                if (r == 0) {
                        *ret = (usec_t) found * USEC_PER_SEC;
                        return 0;
                }
                if (segment.end == INT64_MAX)
                        break;
                t = segment.end;
        }
        return CALENDAR_E_NEVER;
}

struct Timetable {
        CalendarSpec spec;
        Zone *zone;
};

Timetable *timetable_free(Timetable *s) {
        if (!s)
                return NULL;
        zone_free(s->zone);
        return mfree(s);
}

int timetable_new(const char *expression, const char *zone, Timetable **ret, Failure *reterr_failure) {
        _cleanup_(timetable_freep) Timetable *s = NULL;
        int r;

        assert(expression);
        assert(ret);

        s = new0(Timetable, 1);
        if (!s)
                return -ENOMEM;
        r = calendar_parse(expression, &s->spec, reterr_failure);
        if (r < 0)
                return r;
        r = zone_open(s->spec.zone[0] ? s->spec.zone : zone, &s->zone, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int timetable_next(const Timetable *s, usec_t after, usec_t *ret) {
        assert(s);

        return calendar_next(&s->spec, after, s->zone, ret);
}
