/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "repository/moment.h"
#include "wire/civil.h"

#define NSEC_DIGITS 9
#define MINUTE 60
#define HOUR 3600

/* Exactly n digits at *s, which goes behind them. */
static int digits(const char **s, const char *end, int n) {
        int v = 0;

        if (end - *s < n)
                return -EINVAL;
        for (; n > 0; n--, (*s)++) {
                if (**s < '0' || **s > '9')
                        return -EINVAL;
                v = 10 * v + (**s - '0');
        }
        return v;
}

static int literal(const char **s, const char *end, char c) {
        if (*s == end || **s != c)
                return -EINVAL;
        (*s)++;
        return 0;
}

static int parse_date(const char **s, const char *end, int64_t *ret) {
        CivilDate date;

        assert(s && *s);
        assert(ret);

        date.year = digits(s, end, 4);
        if (date.year < 0 || literal(s, end, '-') < 0)
                return -EINVAL;
        date.month = digits(s, end, 2);
        if (date.month < 1 || date.month > 12 || literal(s, end, '-') < 0)
                return -EINVAL;
        date.day = digits(s, end, 2);
        if (date.day < 1 || date.day > civil_days_in_month(date.year, date.month))
                return -EINVAL;
        *ret = civil_to_days(date);
        return 0;
}

static int parse_clock(const char **s, const char *end, int64_t *ret) {
        int hour, minute, second;

        assert(s && *s);
        assert(ret);

        hour = digits(s, end, 2);
        if (hour < 0 || hour > 23 || literal(s, end, ':') < 0)
                return -EINVAL;
        minute = digits(s, end, 2);
        if (minute < 0 || minute > 59 || literal(s, end, ':') < 0)
                return -EINVAL;
        second = digits(s, end, 2);
        if (second < 0 || second > 59)
                return -EINVAL;
        *ret = (int64_t) hour * HOUR + (int64_t) minute * MINUTE + second;
        return 0;
}

/* Up to nine digits count, more are read over. */
static int parse_fraction(const char **s, const char *end, uint32_t *ret) {
        uint32_t nsec = 0;
        int n = 0;

        assert(s && *s);
        assert(ret);

        if (literal(s, end, '.') < 0) {
                *ret = 0;
                return 0;
        }
        for (; *s < end && **s >= '0' && **s <= '9'; (*s)++, n++)
                if (n < NSEC_DIGITS)
                        nsec = 10 * nsec + (uint32_t) (**s - '0');
        if (n == 0)
                return -EINVAL;
        for (; n < NSEC_DIGITS; n++)
                nsec *= 10;
        *ret = nsec;
        return 0;
}

static int parse_offset(const char **s, const char *end, int32_t *ret) {
        int hour, minute, sign;

        assert(s && *s);
        assert(ret);

        if (literal(s, end, 'Z') >= 0) {
                *ret = 0;
                return 0;
        }
        if (*s == end || (**s != '+' && **s != '-'))
                return -EINVAL;
        sign = *(*s)++ == '-' ? -1 : 1;
        hour = digits(s, end, 2);
        if (hour < 0 || hour > 23 || literal(s, end, ':') < 0)
                return -EINVAL;
        minute = digits(s, end, 2);
        if (minute < 0 || minute > 59)
                return -EINVAL;
        *ret = sign * (hour * HOUR + minute * MINUTE);
        return 0;
}

int moment_parse(const char *s, size_t n, Moment *ret) {
        const char *end = s + n;
        int64_t days, clock;
        Moment m = {};

        assert(s);
        assert(ret);

        if (parse_date(&s, end, &days) < 0 || literal(&s, end, 'T') < 0)
                return -EINVAL;
        if (parse_clock(&s, end, &clock) < 0 || parse_fraction(&s, end, &m.nsec) < 0)
                return -EINVAL;
        if (parse_offset(&s, end, &m.offset) < 0 || s != end)
                return -EINVAL;
        m.sec = days * SECONDS_PER_DAY + clock - m.offset;
        *ret = m;
        return 0;
}

char *moment_format(const Moment *m, char buf[static MOMENT_TEXT_MAX]) {
        int64_t local, days, clock;
        int32_t offset;
        CivilDate date;
        int n;

        assert(m);
        assert(m->nsec < 1000000000);

        /* What a day of a year beyond these would do to the arithmetic is no matter then. */
        local = CLAMP(m->sec, -INT64_C(70000000000), INT64_C(260000000000)) + m->offset;
        days = civil_floor_div(local, SECONDS_PER_DAY);
        clock = local - days * SECONDS_PER_DAY;
        date = civil_from_days(days);
        date.year = CLAMP(date.year, 0, 9999);
        if (date.month == 2 && date.day == 29 && !civil_leap_year(date.year))
                date.day = 28;
        n = sprintf(buf, "%04u-%02u-%02uT%02u:%02u:%02u", (unsigned) date.year % 10000,
                    (unsigned) date.month % 100, (unsigned) date.day % 100, (unsigned) (clock / HOUR) % 100,
                    (unsigned) (clock / MINUTE % 60), (unsigned) (clock % MINUTE));
        if (m->nsec > 0) {
                n += sprintf(buf + n, ".%09u", m->nsec % 1000000000);
                while (buf[n - 1] == '0')
                        n--;
        }
        offset = m->offset;
        if (offset == 0)
                (void) strcpy(buf + n, "Z");
        else
                (void) sprintf(buf + n, "%c%02u:%02u", offset < 0 ? '-' : '+',
                               (unsigned) abs(offset) / HOUR % 100, (unsigned) abs(offset) / MINUTE % 60);
        return buf;
}

Moment moment_now(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        return (Moment){ .sec = now.tv_sec, .nsec = (uint32_t) now.tv_nsec };
}
