/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/times.h"

/* The end of the year 9999, in UTC: what has no text comes from none. */
#define SECONDS_MAX INT64_C(253402300799)

usec_t now_usec(clockid_t clock) {
        struct timespec ts;
        int r;

        r = clock_gettime(clock, &ts);
        assert(r == 0);
        (void) r;
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

usec_t usec_add(usec_t a, usec_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

usec_t usec_sub(usec_t a, usec_t b) {
        if (a == USEC_INFINITY)
                return a;
        return a > b ? a - b : 0;
}

char *format_rfc3339(char buf[static RFC3339_MAX], usec_t t) {
        time_t seconds = (time_t) (t / USEC_PER_SEC);
        struct tm tm = {};
        size_t n;

        if (!gmtime_r(&seconds, &tm) || tm.tm_year > 8099) {
                (void) snprintf(buf, RFC3339_MAX, "9999-12-31T23:59:59.999Z");
                return buf;
        }
        n = strftime(buf, RFC3339_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
        (void) snprintf(buf + n, RFC3339_MAX - n, ".%03uZ", (unsigned) (t % USEC_PER_SEC / USEC_PER_MSEC));
        return buf;
}

static int read_number(const char **s, int digits, int min, int max, int *ret) {
        int v = 0;

        for (int i = 0; i < digits; i++) {
                if (**s < '0' || **s > '9')
                        return -EINVAL;
                v = v * 10 + (**s - '0');
                (*s)++;
        }
        if (v < min || v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

static int read_fraction(const char **s, usec_t *ret) {
        usec_t v = 0, unit = USEC_PER_SEC;
        int digits = 0;

        if (**s != '.') {
                *ret = 0;
                return 0;
        }
        for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, digits++) {
                unit /= 10;
                v += (usec_t) (**s - '0') * unit;
        }
        if (digits == 0 || digits > 6)
                return -EINVAL;
        *ret = v;
        return 0;
}

/* Seconds to subtract for "Z", "+hh:mm" or "-hh:mm". */
static int read_offset(const char **s, int *ret) {
        int hours, minutes, sign;

        if (**s == 'Z' || **s == 'z') {
                (*s)++;
                *ret = 0;
                return 0;
        }
        if (**s != '+' && **s != '-')
                return -EINVAL;
        sign = **s == '+' ? 1 : -1;
        (*s)++;
        if (read_number(s, 2, 0, 23, &hours) < 0 || *(*s)++ != ':' || read_number(s, 2, 0, 59, &minutes) < 0)
                return -EINVAL;
        *ret = sign * (hours * 3600 + minutes * 60);
        return 0;
}

int parse_rfc3339(const char *s, usec_t *ret) {
        struct tm tm = {};
        usec_t fraction;
        int year, month, second, offset;
        time_t seconds;

        assert(s);
        assert(ret);

        if (read_number(&s, 4, 1970, 9999, &year) < 0 || *s++ != '-' ||
            read_number(&s, 2, 1, 12, &month) < 0 || *s++ != '-' ||
            read_number(&s, 2, 1, 31, &tm.tm_mday) < 0 || (*s != 'T' && *s != 't' && *s != ' '))
                return -EINVAL;
        s++;
        if (read_number(&s, 2, 0, 23, &tm.tm_hour) < 0 || *s++ != ':' ||
            read_number(&s, 2, 0, 59, &tm.tm_min) < 0 || *s++ != ':' ||
            read_number(&s, 2, 0, 60, &second) < 0 ||
            read_fraction(&s, &fraction) < 0 || read_offset(&s, &offset) < 0 || *s != 0)
                return -EINVAL;

        tm.tm_year = year - 1900;
        tm.tm_mon = month - 1;
        seconds = timegm(&tm);
        if (tm.tm_mon != month - 1) /* the 31st of a month that has none */
                return -EINVAL;
        seconds += second - offset; /* a leap second is the one that follows it */
        if (seconds < 0 || seconds > SECONDS_MAX)
                return -ERANGE;
        *ret = (usec_t) seconds * USEC_PER_SEC + fraction;
        return 0;
}
