/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "repository/forget.h"

static const char *const forget_rule_table[_FORGET_RULE_MAX] = {
        [FORGET_LAST] = "last",
        [FORGET_HOURLY] = "hourly",
        [FORGET_DAILY] = "daily",
        [FORGET_WEEKLY] = "weekly",
        [FORGET_MONTHLY] = "monthly",
        [FORGET_YEARLY] = "yearly",
};

DEFINE_STRING_TABLE(forget_rule, ForgetRule);

#define UNITS 4

static bool span_is_zero(const ForgetSpan *s) {
        return s->years == 0 && s->months == 0 && s->days == 0 && s->hours == 0;
}

bool forget_policy_is_empty(const ForgetPolicy *p) {
        assert(p);

        for (ForgetRule i = 0; i < _FORGET_RULE_MAX; i++)
                if (p->keep[i] > 0 || !span_is_zero(&p->within[i]))
                        return false;
        return true;
}

int forget_span_parse(const char *s, ForgetSpan *ret, Failure *reterr_failure) {
        static const char units[UNITS + 1] = "ymdh";
        uint32_t values[UNITS] = {};
        const char *p = s;
        size_t next = 0;

        assert(s);
        assert(ret);

        while (*p) {
                uint32_t value = 0;
                size_t digits = 0;

                for (; *p >= '0' && *p <= '9' && value <= FORGET_NUMBER_MAX; p++, digits++)
                        value = 10 * value + (uint32_t) (*p - '0');
                while (next < UNITS && units[next] != *p)
                        next++;
                if (digits == 0 || value > FORGET_NUMBER_MAX || next == UNITS)
                        return failure_set(reterr_failure, -EINVAL, "SPAN_INVALID",
                                           "'%s' is not a span of time: write for example 2y5m7d3h, each "
                                           "number at most %d.",
                                           s, FORGET_NUMBER_MAX);
                values[next++] = value;
                p++;
        }
        *ret = (ForgetSpan){ values[0], values[1], values[2], values[3] };
        return 0;
}

/* On the clock that wrote it. */
static void civil(const Moment *m, struct tm *ret) {
        time_t t = (time_t) (m->sec + m->offset);

        *ret = (struct tm){};
        (void) gmtime_r(&t, ret);
}

/* Monday is the first day; the week belongs to the year that has its Thursday. */
static int64_t iso_week(const struct tm *tm) {
        int weekday = (tm->tm_wday + 6) % 7;
        struct tm thursday = *tm;

        thursday.tm_mday += 3 - weekday;
        (void) timegm(&thursday);
        return INT64_C(100) * thursday.tm_year + thursday.tm_yday / 7;
}

/* Equal for two snapshots of one period, and only then. */
static int64_t period(ForgetRule rule, const Moment *m, size_t number) {
        struct tm tm;

        civil(m, &tm);
        switch (rule) {
        case FORGET_LAST:
                return (int64_t) number;
        case FORGET_HOURLY:
                return ((INT64_C(1000) * tm.tm_year + tm.tm_yday) * 100) + tm.tm_hour;
        case FORGET_DAILY:
                return INT64_C(1000) * tm.tm_year + tm.tm_yday;
        case FORGET_WEEKLY:
                return iso_week(&tm);
        case FORGET_MONTHLY:
                return INT64_C(100) * tm.tm_year + tm.tm_mon;
        case FORGET_YEARLY:
                return tm.tm_year;
        case _FORGET_RULE_MAX:
        case _FORGET_RULE_INVALID:
                break;
        }
        return 0;
}

static bool is_after(const Moment *a, const Moment *b) {
        return a->sec > b->sec || (a->sec == b->sec && a->nsec > b->nsec);
}

/* The moment so much before. */
static Moment before(const Moment *m, const ForgetSpan *s) {
        struct tm tm;
        Moment r = *m;

        civil(m, &tm);
        tm.tm_year -= (int) s->years;
        tm.tm_mon -= (int) s->months;
        tm.tm_mday -= (int) s->days;
        r.sec = (int64_t) timegm(&tm) - m->offset - INT64_C(3600) * s->hours;
        return r;
}

/* The newest that is not of the future. */
static Moment newest(const Moment *times, size_t n, const Moment *now) {
        for (size_t i = 0; i < n; i++)
                if (!is_after(&times[i], now))
                        return times[i];
        return (Moment){ .sec = INT64_MIN / 2 };
}

void forget_apply(const ForgetPolicy *p, const Moment *times, size_t n, const Moment *now,
                  ForgetReasons *ret_reasons) {
        bool all = forget_policy_is_empty(p);
        Moment latest = newest(times, n, now);

        assert(times || n == 0);
        assert(now);
        assert(ret_reasons);

        for (size_t i = 0; i < n; i++)
                ret_reasons[i] = all ? FORGET_BECAUSE_NO_POLICY : 0;
        for (ForgetRule rule = 0; rule < _FORGET_RULE_MAX && !all; rule++) {
                Moment limit = before(&latest, &p->within[rule]);
                int64_t last = INT64_MIN, last_within = INT64_MIN;
                uint32_t left = p->keep[rule];

                for (size_t i = 0; i < n; i++) {
                        int64_t now_in = period(rule, &times[i], i);

                        if (left > 0 && now_in != last) {
                                ret_reasons[i] |= UINT32_C(1) << rule;
                                last = now_in;
                                left--;
                        }
                        if (!span_is_zero(&p->within[rule]) && is_after(&times[i], &limit) &&
                            now_in != last_within) {
                                ret_reasons[i] |= UINT32_C(1) << (rule + _FORGET_RULE_MAX);
                                last_within = now_in;
                        }
                }
        }
}
