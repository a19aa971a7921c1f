/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "wire/civil.h"
#include "wire/zone-rule.h"

/* RFC 8536, section 3.3.1: hours of a change go from -167 to 167, those of an offset to 24. */
#define CHANGE_HOURS_MAX 167
#define OFFSET_HOURS_MAX 24
#define CHANGE_TIME_DEFAULT (2 * 3600)
/* Beyond these no segment is computed: years stay far from the ends of int. */
#define RULE_YEAR_MIN 1
#define RULE_YEAR_MAX 9999

typedef struct Cursor {
        const char *p;
        const char *end;
} Cursor;

static bool take(Cursor *c, char what) {
        if (c->p == c->end || *c->p != what)
                return false;
        c->p++;
        return true;
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int take_number(Cursor *c, int min, int max, int *ret) {
        int n = 0;

        assert(c);

        if (c->p == c->end || !is_digit(*c->p))
                return -EBADMSG;
        for (; c->p < c->end && is_digit(*c->p); c->p++) {
                n = n * 10 + (*c->p - '0');
                if (n > max)
                        return -EBADMSG;
        }
        if (n < min)
                return -EBADMSG;
        *ret = n;
        return 0;
}

/* "CET" or "<+0330>". */
static int skip_name(Cursor *c) {
        const char *start = c->p;
        bool quoted = take(c, '<');

        while (c->p < c->end &&
               (is_letter(*c->p) || (quoted && (is_digit(*c->p) || *c->p == '+' || *c->p == '-'))))
                c->p++;
        if (c->p - start < 3)
                return -EBADMSG;
        return !quoted || take(c, '>') ? 0 : -EBADMSG;
}

/* [+-]h[h[h]][:mm[:ss]] */
static int take_time(Cursor *c, int hours_max, int32_t *ret) {
        int hours, minutes = 0, seconds = 0, sign = 1, r;

        if (take(c, '-'))
                sign = -1;
        else
                (void) take(c, '+');
        r = take_number(c, 0, hours_max, &hours);
        if (r >= 0 && take(c, ':')) {
                r = take_number(c, 0, 59, &minutes);
                if (r >= 0 && take(c, ':'))
                        r = take_number(c, 0, 59, &seconds);
        }
        if (r < 0)
                return r;
        *ret = sign * (hours * 3600 + minutes * 60 + seconds);
        return 0;
}

static int take_weekday_rule(Cursor *c, ZoneChange *change) {
        int r;

        assert(change);

        change->kind = ZONE_DAY_WEEKDAY;
        r = take_number(c, 1, 12, &change->month);
        if (r < 0 || !take(c, '.'))
                return -EBADMSG;
        r = take_number(c, 1, 5, &change->week);
        if (r < 0 || !take(c, '.'))
                return -EBADMSG;
        return take_number(c, 0, 6, &change->day);
}

static int take_change(Cursor *c, ZoneChange *ret) {
        ZoneChange change = { .time = CHANGE_TIME_DEFAULT };
        int r;

        if (!take(c, ','))
                return -EBADMSG;
        if (take(c, 'M'))
                r = take_weekday_rule(c, &change);
        else if (take(c, 'J')) {
                change.kind = ZONE_DAY_JULIAN;
                r = take_number(c, 1, 365, &change.day);
        } else {
                change.kind = ZONE_DAY_ORDINAL;
                r = take_number(c, 0, 365, &change.day);
        }
        if (r < 0)
                return r;
        if (take(c, '/')) {
                r = take_time(c, CHANGE_HOURS_MAX, &change.time);
                if (r < 0)
                        return r;
        }
        *ret = change;
        return 0;
}

int zone_rule_parse(const char *text, size_t n, ZoneRule *ret) {
        Cursor c = { text, text + n };
        ZoneRule rule = {};
        int32_t west;
        int r;

        assert(text);
        assert(ret);

        r = skip_name(&c);
        if (r < 0)
                return r;
        r = take_time(&c, OFFSET_HOURS_MAX, &west);
        if (r < 0)
                return r;
        rule.standard = rule.daylight = -west;
        if (c.p < c.end) {
                r = skip_name(&c);
                if (r < 0)
                        return r;
                rule.has_daylight = true;
                rule.daylight = rule.standard + 3600;
                if (c.p < c.end && *c.p != ',') {
                        r = take_time(&c, OFFSET_HOURS_MAX, &west);
                        if (r < 0)
                                return r;
                        rule.daylight = -west;
                }
                r = take_change(&c, &rule.start);
                if (r < 0)
                        return r;
                r = take_change(&c, &rule.end);
                if (r < 0)
                        return r;
        }
        if (c.p != c.end)
                return -EBADMSG;
        *ret = rule;
        return 0;
}

static int64_t weekday_of_month(const ZoneChange *change, int year) {
        int64_t first = civil_to_days((CivilDate){ year, change->month, 1 });
        int day = 1 + (change->day - civil_weekday(first) + 7) % 7 + (change->week - 1) * 7;

        while (day > civil_days_in_month(year, change->month))
                day -= 7;
        return first + day - 1;
}

/* The instant of a change, for the offset that is in force before it. */
static int64_t change_at(const ZoneChange *change, int year, int32_t offset) {
        int64_t days = 0;

        assert(change);

        switch (change->kind) {
        case ZONE_DAY_JULIAN:
                days = civil_to_days((CivilDate){ year, 1, 1 }) + change->day - 1;
                if (civil_leap_year(year) && change->day >= 60)
                        days++;
                break;
        case ZONE_DAY_ORDINAL:
                days = civil_to_days((CivilDate){ year, 1, 1 }) + change->day;
                break;
        case ZONE_DAY_WEEKDAY:
                days = weekday_of_month(change, year);
                break;
        }
        return days * SECONDS_PER_DAY + change->time - offset;
}

typedef struct Change {
        int64_t at;
        int32_t offset;
} Change;

/* Sorted by time; equal times keep their order, so that the later year wins. */
static size_t changes_around(const ZoneRule *rule, int year, Change changes[static 6]) {
        size_t n = 0;

        assert(rule);

        for (int y = year - 1; y <= year + 1; y++) {
                Change start = { change_at(&rule->start, y, rule->standard), rule->daylight };
                Change end = { change_at(&rule->end, y, rule->daylight), rule->standard };

                changes[n++] = start;
                changes[n++] = end;
        }
        for (size_t i = 1; i < n; i++)
                for (size_t k = i; k > 0 && changes[k - 1].at > changes[k].at; k--) {
                        Change swap = changes[k];

                        changes[k] = changes[k - 1];
                        changes[k - 1] = swap;
                }
        return n;
}

ZoneSegment zone_rule_segment(const ZoneRule *rule, int64_t t) {
        ZoneSegment segment = { INT64_MIN, INT64_MAX, rule->standard };
        Change changes[6];
        size_t n;
        int year;

        assert(rule);

        if (!rule->has_daylight)
                return segment;
        year = civil_from_days(civil_floor_div(t, SECONDS_PER_DAY)).year;
        if (year < RULE_YEAR_MIN || year > RULE_YEAR_MAX)
                return segment;

        n = changes_around(rule, year, changes);
        for (size_t i = 0; i < n; i++)
                if (changes[i].at <= t) {
                        segment.start = changes[i].at;
                        segment.offset = changes[i].offset;
                } else {
                        segment.end = changes[i].at;
                        break;
                }
        return segment;
}
