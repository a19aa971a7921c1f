/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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

/* n digits of v at s; what is behind them. */
static char *put_digits(char *s, unsigned v, int n) {
        for (int i = n - 1; i >= 0; i--, v /= 10)
                s[i] = (char) ('0' + v % 10);
        return s + n;
}

/* The same, and a character. */
static char *put_field(char *s, unsigned v, int n, char behind) {
        s = put_digits(s, v, n);
        *s = behind;
        return s + 1;
}

char *moment_format(const Moment *m, char buf[static MOMENT_TEXT_MAX]) {
        int64_t local, days, clock;
        unsigned offset;
        CivilDate date;
        char *s = buf;

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
        s = put_field(s, (unsigned) date.year, 4, '-');
        s = put_field(s, (unsigned) date.month, 2, '-');
        s = put_field(s, (unsigned) date.day, 2, 'T');
        s = put_field(s, (unsigned) (clock / HOUR), 2, ':');
        s = put_field(s, (unsigned) (clock / MINUTE % 60), 2, ':');
        s = put_digits(s, (unsigned) (clock % MINUTE), 2);
        if (m->nsec > 0) {
                *s++ = '.';
                s = put_digits(s, m->nsec, NSEC_DIGITS);
                while (s[-1] == '0')
                        s--;
        }
        offset = (unsigned) abs(m->offset);
        if (offset == 0)
                *s++ = 'Z';
        else {
                *s++ = m->offset < 0 ? '-' : '+';
                s = put_field(s, offset / HOUR, 2, ':');
                s = put_digits(s, offset / MINUTE % 60, 2);
        }
        *s = 0;
        return buf;
}

Moment moment_now(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        return (Moment){ .sec = now.tv_sec, .nsec = (uint32_t) now.tv_nsec };
}
