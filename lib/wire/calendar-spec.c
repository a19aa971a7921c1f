/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "wire/calendar-spec.h"
#include "wire/civil.h"

#define BITS(from, to) ((UINT64_C(2) << (to)) - (UINT64_C(1) << (from)))

const char *const calendar_weekday_names[] = {
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", NULL
};

const char *const calendar_month_names[] = {
        "January", "February", "March", "April", "May", "June", "July",
        "August", "September", "October", "November", "December", NULL
};

int calendar_scan_fail(CalendarScan *s, size_t at, const char *format, ...) {
        char message[160];
        va_list args;

        assert(s);

        va_start(args, format);
        (void) vsnprintf(message, sizeof message, format, args);
        va_end(args);
        return failure_set_field(s->failure, -EINVAL, "SCHEDULE_INVALID", "schedule.expression",
                                 "column %zu: %s", at + 1, message);
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int calendar_find_name(const CalendarField *field, const char *s, size_t n) {
        assert(field);
        assert(s);

        for (unsigned i = 0; field->names && field->names[i]; i++)
                if ((n == 3 || n == strlen(field->names[i])) && strncasecmp(field->names[i], s, n) == 0)
                        return (int) (field->names_first + i);
        return -EINVAL;
}

static int scan_name(CalendarScan *s, const CalendarField *field, unsigned *ret) {
        size_t n = 0;
        int value;

        assert(s);
        assert(field);

        while (is_letter(s->text[s->at + n]))
                n++;
        value = calendar_find_name(field, s->text + s->at, n);
        if (value < 0)
                return calendar_scan_fail(s, s->at, "'%.*s' is not a %s", (int) MIN(n, (size_t) 20),
                                          s->text + s->at, field->name);
        s->at += n;
        *ret = (unsigned) value;
        return 0;
}

static int scan_number(CalendarScan *s, const CalendarField *field, unsigned max, unsigned *ret) {
        size_t start = s->at;
        unsigned n = 0;

        assert(field);

        for (; is_digit(s->text[s->at]); s->at++) {
                n = n * 10 + (unsigned) (s->text[s->at] - '0');
                if (n > max)
                        return calendar_scan_fail(s, start, "this %s is above %u", field->name, max);
        }
        *ret = n;
        return 0;
}

static int scan_value(CalendarScan *s, const CalendarField *field, unsigned *ret) {
        size_t start = s->at;
        char c = s->text[start];
        unsigned n;
        int r;

        assert(field);

        if (is_letter(c) && field->names)
                return scan_name(s, field, ret);
        if (!is_digit(c)) {
                if (c == 0 || c == ' ' || c == '\t')
                        return calendar_scan_fail(s, start, "the %s is missing here", field->name);
                if ((unsigned char) c < 0x20 || (unsigned char) c >= 0x7f)
                        return calendar_scan_fail(s, start, "this character cannot be in the %s",
                                                  field->name);
                return calendar_scan_fail(s, start, "'%c' cannot be in the %s", c, field->name);
        }
        r = scan_number(s, field, field->max, &n);
        if (r < 0)
                return r;
        if (n < field->min)
                return calendar_scan_fail(s, start, "this %s is under %u", field->name, field->min);
        *ret = n;
        return 0;
}

static int scan_step(CalendarScan *s, const CalendarField *field, CalendarRange *range) {
        size_t start = ++s->at;
        int r;

        assert(field);
        assert(range);

        if (!is_digit(s->text[start]))
                return calendar_scan_fail(s, start, "a number is missing behind '/'");
        r = scan_number(s, field, field->max, &range->step);
        if (r < 0)
                return r;
        if (range->step == 0)
                return calendar_scan_fail(s, start, "a step of 0 goes nowhere");
        return 0;
}

int calendar_scan_range(CalendarScan *s, const CalendarField *field, CalendarRange *ret) {
        CalendarRange range = { .start = field->min, .stop = field->max, .open = true };
        size_t n = strlen(field->range), start;
        int r;

        assert(s);
        assert(ret);

        start = s->at;
        if (s->text[start] == '*') {
                range.star = true;
                range.step = 1;
                s->at++;
        } else {
                r = scan_value(s, field, &range.start);
                if (r < 0)
                        return r;
                if (strncmp(s->text + s->at, field->range, n) == 0) {
                        s->at += n;
                        r = scan_value(s, field, &range.stop);
                        if (r < 0)
                                return r;
                        if (range.stop < range.start)
                                return calendar_scan_fail(s, start, "this range goes backwards");
                        range.open = false;
                        range.step = 1;
                }
        }
        if (s->text[s->at] == '/') {
                r = scan_step(s, field, &range);
                if (r < 0)
                        return r;
        }
        *ret = range;
        return 0;
}

int calendar_scan_bits(CalendarScan *s, const CalendarField *field, uint64_t *ret) {
        uint64_t bits = 0;

        assert(s);
        assert(ret);
        assert(field->max < 64);

        for (;;) {
                CalendarRange range;
                int r;

                r = calendar_scan_range(s, field, &range);
                if (r < 0)
                        return r;
                bits |= UINT64_C(1) << range.start;
                for (unsigned v = range.start; range.step > 0 && v <= range.stop; v += range.step)
                        bits |= UINT64_C(1) << v;
                if (s->text[s->at] != ',')
                        break;
                s->at++;
        }
        *ret = bits;
        return 0;
}

CalendarSpec calendar_spec_all(void) {
        CalendarSpec spec = {
                .seconds = BITS(0, 59),
                .minutes = BITS(0, 59),
                .hours = (uint32_t) BITS(0, 23),
                .days = (uint32_t) BITS(1, 31),
                .months = (uint16_t) BITS(1, 12),
                .weekdays = (uint8_t) BITS(0, 6),
        };

        for (unsigned y = CALENDAR_YEAR_MIN; y <= CALENDAR_YEAR_MAX; y++)
                calendar_set_year(&spec, y);
        return spec;
}

static bool year_matches(const CalendarSpec *spec, int year) {
        unsigned n = (unsigned) (year - CALENDAR_YEAR_MIN);

        return spec->years[n / 64] >> (n % 64) & 1;
}

static bool day_matches(const CalendarSpec *spec, CivilDate date, int64_t days) {
        int back = civil_days_in_month(date.year, date.month) - date.day + 1;
        bool day = (spec->days >> date.day & 1) || (spec->days_back >> back & 1);
        bool weekday = spec->weekdays >> civil_weekday(days) & 1;

        return spec->day_or_weekday ? day || weekday : day && weekday;
}

/* The lowest bit at or above from; negative: none. */
static int next_bit(uint64_t bits, int from) {
        if (from > 63)
                return -1;
        bits &= ~UINT64_C(0) << from;
        return bits == 0 ? -1 : __builtin_ctzll(bits);
}

/* The first matching second of a day at or after from (0 … 86399); negative: none. */
static int find_in_day(const CalendarSpec *spec, int from) {
        int hour = from / 3600, minute = from / 60 % 60, second = from % 60, h, m, s;

        assert(spec);

        h = next_bit(spec->hours, hour);
        if (h == hour) {
                m = next_bit(spec->minutes, minute);
                if (m == minute) {
                        s = next_bit(spec->seconds, second);
                        if (s >= 0)
                                return h * 3600 + m * 60 + s;
                        m = next_bit(spec->minutes, minute + 1);
                }
                if (m >= 0)
                        return h * 3600 + m * 60 + next_bit(spec->seconds, 0);
                h = next_bit(spec->hours, hour + 1);
        }
        if (h < 0)
                return -1;
        return h * 3600 + next_bit(spec->minutes, 0) * 60 + next_bit(spec->seconds, 0);
}

int calendar_spec_find(const CalendarSpec *spec, int64_t from, int64_t limit, int64_t *ret) {
        int64_t days, first = civil_to_days((CivilDate){ CALENDAR_YEAR_MIN, 1, 1 });
        int second;

        assert(spec);
        assert(ret);

        from = MAX(from, first * SECONDS_PER_DAY);
        days = civil_floor_div(from, SECONDS_PER_DAY);
        second = (int) (from - days * SECONDS_PER_DAY);

        while (days * SECONDS_PER_DAY < limit) {
                CivilDate date = civil_from_days(days);

                if (date.year > CALENDAR_YEAR_MAX)
                        break;
                if (!year_matches(spec, date.year))
                        days = civil_to_days((CivilDate){ date.year + 1, 1, 1 });
                else if (!(spec->months >> date.month & 1))
                        days += civil_days_in_month(date.year, date.month) - date.day + 1;
                else {
                        int found = day_matches(spec, date, days) ? find_in_day(spec, second) : -1;

                        if (found >= 0) {
                                int64_t t = days * SECONDS_PER_DAY + found;

                                if (t >= limit)
                                        break;
                                *ret = t;
                                return 0;
                        }
                        days++;
                }
                second = 0;
        }
        return CALENDAR_E_NEVER;
}
