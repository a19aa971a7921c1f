/* SPDX-License-Identifier: Apache-2.0 */

/* Calendar events as systemd.time(7) has them: "Mon..Fri *-*-* 02:30:00 Europe/Berlin", where everything
 * but one of weekday, date and time may be missing, and words like "daily". Fractions of a second are
 * refused. */

#include <errno.h>
#include <strings.h>

#include "base/text.h"
#include "wire/calendar-spec.h"

static const CalendarField field_year = {
        .name = "year", .max = CALENDAR_YEAR_MAX, .range = ".."
};
static const CalendarField field_month = { .name = "month", .min = 1, .max = 12, .range = ".." };
static const CalendarField field_day = { .name = "day", .min = 1, .max = 31, .range = ".." };
/* Every month has 28 days to count back from its end. */
static const CalendarField field_day_back = {
        .name = "day before the end", .min = 1, .max = 28, .range = ".."
};
static const CalendarField field_hour = { .name = "hour", .max = 23, .range = ".." };
static const CalendarField field_minute = { .name = "minute", .max = 59, .range = ".." };
static const CalendarField field_second = { .name = "second", .max = 59, .range = ".." };
static const CalendarField field_weekday = {
        .name = "weekday", .max = 6, .names = calendar_weekday_names, .range = ".."
};

static const struct {
        const char *word;
        const char *expression;
} words[] = {
        { "minutely", "*-*-* *:*:00" },
        { "hourly", "*-*-* *:00:00" },
        { "daily", "*-*-* 00:00:00" },
        { "weekly", "Mon *-*-* 00:00:00" },
        { "monthly", "*-*-01 00:00:00" },
        { "quarterly", "*-01,04,07,10-01 00:00:00" },
        { "semiannually", "*-01,07-01 00:00:00" },
        { "semi-annually", "*-01,07-01 00:00:00" },
        { "biannually", "*-01,07-01 00:00:00" },
        { "bi-annually", "*-01,07-01 00:00:00" },
        { "yearly", "*-01-01 00:00:00" },
        { "annually", "*-01-01 00:00:00" },
        { "anually", "*-01-01 00:00:00" },
};

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void skip_blanks(CalendarScan *s) {
        s->at += strspn(s->text + s->at, " \t");
}

static size_t token_length(const CalendarScan *s) {
        return strcspn(s->text + s->at, " \t");
}

static bool token_has(const CalendarScan *s, const char *any) {
        return strcspn(s->text + s->at, any) < token_length(s);
}

static bool at_end_of_token(const CalendarScan *s) {
        return strchr(" \t", s->text[s->at]) != NULL;
}

static int expect_end_of_token(CalendarScan *s, const char *what) {
        if (at_end_of_token(s))
                return 0;
        return calendar_scan_fail(s, s->at, "this is not part of the %s", what);
}

/* Two digits are a year around now, as systemd has it. */
static unsigned full_year(unsigned year) {
        return year < 70 ? year + 2000 : year < 100 ? year + 1900 :
                                                      year;
}

static int scan_years(CalendarScan *s, CalendarSpec *spec) {
        assert(s);
        assert(spec);

        memset(spec->years, 0, sizeof spec->years);
        for (;;) {
                CalendarRange range;
                size_t start = s->at;
                unsigned stop;
                int r;

                r = calendar_scan_range(s, &field_year, &range);
                if (r < 0)
                        return r;
                if (range.star)
                        range.start = CALENDAR_YEAR_MIN;
                range.start = full_year(range.start);
                stop = range.step == 0 ? range.start : full_year(range.stop);
                if (range.start < CALENDAR_YEAR_MIN || stop < range.start)
                        return calendar_scan_fail(s, start, "years go from %d to %d", CALENDAR_YEAR_MIN,
                                                  CALENDAR_YEAR_MAX);
                for (unsigned y = range.start; y <= stop; y += MAX(range.step, 1u))
                        calendar_set_year(spec, y);
                if (s->text[s->at] != ',')
                        return 0;
                s->at++;
        }
}

/* "~03" is the third last day, "~07/1" all of the last seven, "~01..03" the last three. */
static int scan_days_back(CalendarScan *s, CalendarSpec *spec) {
        assert(s);
        assert(spec);

        spec->days = 0;
        for (;;) {
                CalendarRange range;
                int r, from, to;

                r = calendar_scan_range(s, &field_day_back, &range);
                if (r < 0)
                        return r;
                /* Steps go forward in time, so from the larger count to the smaller one. */
                from = (int) (range.open && !range.star ? range.start : range.stop);
                to = (int) (range.step == 0 ? range.start : range.open ? 1 :
                                                                         range.start);
                for (int back = from; back >= to; back -= (int) MAX(range.step, 1u))
                        spec->days_back |= UINT32_C(1) << back;
                if (s->text[s->at] != ',')
                        return 0;
                s->at++;
        }
}

static int scan_days(CalendarScan *s, CalendarSpec *spec, bool back) {
        uint64_t days;
        int r;

        assert(s);
        assert(spec);

        s->day_at = s->at;
        if (back)
                return scan_days_back(s, spec);
        r = calendar_scan_bits(s, &field_day, &days);
        if (r < 0)
                return r;
        spec->days = (uint32_t) days;
        return 0;
}

/* Three parts, or two without the year. */
static bool date_has_year(const CalendarScan *s) {
        unsigned n = 0;

        for (size_t i = s->at; s->text[i] && !strchr(" \tT", s->text[i]); i++)
                n += s->text[i] == '-' || s->text[i] == '~';
        return n > 1;
}

static int scan_date(CalendarScan *s, CalendarSpec *spec) {
        uint64_t months;
        bool back;
        int r;

        assert(s);
        assert(spec);

        if (date_has_year(s)) {
                r = scan_years(s, spec);
                if (r < 0)
                        return r;
                if (s->text[s->at] != '-')
                        return calendar_scan_fail(s, s->at, "'-' and a month are expected here");
                s->at++;
        }
        r = calendar_scan_bits(s, &field_month, &months);
        if (r < 0)
                return r;
        spec->months = (uint16_t) months;
        back = s->text[s->at] == '~';
        if (!back && s->text[s->at] != '-')
                return calendar_scan_fail(s, s->at, "'-' or '~' and a day are expected here");
        s->at++;
        return scan_days(s, spec, back);
}

static int scan_time(CalendarScan *s, CalendarSpec *spec) {
        uint64_t hours, minutes, seconds = 1;
        int r;

        assert(s);
        assert(spec);

        r = calendar_scan_bits(s, &field_hour, &hours);
        if (r < 0)
                return r;
        if (s->text[s->at] != ':')
                return calendar_scan_fail(s, s->at, "':' and a minute are expected here");
        s->at++;
        r = calendar_scan_bits(s, &field_minute, &minutes);
        if (r < 0)
                return r;
        if (s->text[s->at] == ':') {
                s->at++;
                r = calendar_scan_bits(s, &field_second, &seconds);
                if (r < 0)
                        return r;
        }
        if (s->text[s->at] == '.')
                return calendar_scan_fail(s, s->at, "fractions of a second are not supported");
        spec->hours = (uint32_t) hours;
        spec->minutes = minutes;
        spec->seconds = seconds;
        return expect_end_of_token(s, "time");
}

/* "Mon..Fri", "Sat,Sun", and with the older sign "Mon-Fri". */
static int scan_weekdays(CalendarScan *s, CalendarSpec *spec) {
        CalendarField field = field_weekday;
        uint64_t bits;
        int r;

        assert(spec);

        if (token_has(s, "-"))
                field.range = "-";
        r = calendar_scan_bits(s, &field, &bits);
        if (r < 0)
                return r;
        spec->weekdays = (uint8_t) bits;
        return expect_end_of_token(s, "weekday");
}

/* Whether the token begins with the name of a weekday, as no zone does that is not meant as one. */
static bool token_is_weekday(const CalendarScan *s) {
        const char *p = s->text + s->at;
        size_t n = 0;

        while (is_letter(p[n]))
                n++;
        return n > 0 && (strchr(" \t,.-", p[n]) && calendar_find_name(&field_weekday, p, n) >= 0);
}

static bool token_is_word(const CalendarScan *s, const char **ret) {
        size_t n = token_length(s);

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strlen(words[i].word) == n && strncasecmp(s->text + s->at, words[i].word, n) == 0) {
                        *ret = words[i].expression;
                        return true;
                }
        return false;
}

static int scan_zone(CalendarScan *s, CalendarSpec *spec) {
        size_t n = token_length(s), start = s->at;

        assert(spec);

        if (n > ZONE_NAME_MAX)
                return calendar_scan_fail(s, start, "this is too long for the name of a time zone");
        memcpy(spec->zone, s->text + start, n);
        spec->zone[n] = 0;
        if (!zone_name_is_valid(spec->zone))
                return calendar_scan_fail(s, start,
                                          "a weekday, a date, a time, a word like 'daily' or a time zone is"
                                          " expected here");
        s->at += n;
        return 0;
}

static int scan_parts(CalendarScan *s, CalendarSpec *spec, unsigned *n) {
        bool timed = false;
        int r;

        assert(s);
        assert(spec);

        skip_blanks(s);
        if (token_is_weekday(s)) {
                r = scan_weekdays(s, spec);
                if (r < 0)
                        return r;
                (*n)++;
                skip_blanks(s);
        }
        if (s->text[s->at] && !is_letter(s->text[s->at]) && token_has(s, "-~")) {
                r = scan_date(s, spec);
                if (r < 0)
                        return r;
                (*n)++;
                if (s->text[s->at] == 'T') {
                        s->at++;
                        timed = true;
                } else {
                        r = expect_end_of_token(s, "date");
                        if (r < 0)
                                return r;
                        skip_blanks(s);
                }
        }
        if (timed || (s->text[s->at] && !is_letter(s->text[s->at]))) {
                (*n)++;
                return scan_time(s, spec);
        }
        spec->hours = 1;
        spec->minutes = 1;
        spec->seconds = 1;
        return 0;
}

int calendar_parse_event(CalendarScan *s, CalendarSpec *ret) {
        CalendarSpec spec = calendar_spec_all();
        const char *expression;
        unsigned n = 0;
        int r;

        assert(s);
        assert(ret);

        skip_blanks(s);
        if (token_is_word(s, &expression)) {
                CalendarScan inner = { .text = expression, .failure = s->failure };

                r = scan_parts(&inner, &spec, &n);
                s->at += token_length(s);
        } else
                r = scan_parts(s, &spec, &n);
        if (r < 0)
                return r;

        skip_blanks(s);
        if (s->text[s->at] && (n == 0 || !is_letter(s->text[s->at])))
                return calendar_scan_fail(
                                s, s->at,
                                "a weekday, a date, a time or a word like 'daily' is expected here");
        if (s->text[s->at]) {
                r = scan_zone(s, &spec);
                if (r < 0)
                        return r;
                skip_blanks(s);
        }
        if (s->text[s->at])
                return calendar_scan_fail(s, s->at, "nothing can follow here");
        *ret = spec;
        return 0;
}
