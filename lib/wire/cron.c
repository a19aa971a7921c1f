/* SPDX-License-Identifier: Apache-2.0 */

/* Cron: "minute hour day-of-month month day-of-week", with a field of seconds before them where there are
 * six. As in Vixie's cron a day matches when either of the two day fields does, if both are restricted; a
 * field that begins with '*' is not restricted. */

#include <errno.h>

#include "base/text.h"
#include "wire/calendar-spec.h"

static const CalendarField field_second = { .name = "second", .max = 59, .range = "-" };
static const CalendarField field_minute = { .name = "minute", .max = 59, .range = "-" };
static const CalendarField field_hour = { .name = "hour", .max = 23, .range = "-" };
static const CalendarField field_day = { .name = "day of the month", .min = 1, .max = 31, .range = "-" };
static const CalendarField field_month = {
        .name = "month", .min = 1, .max = 12, .names = calendar_month_names, .names_first = 1, .range = "-"
};
/* Sunday is 0 and 7. */
static const CalendarField field_weekday = {
        .name = "weekday", .max = 7, .names = calendar_weekday_names, .range = "-"
};

static const struct {
        const char *word;
        const char *expression;
} words[] = {
        { "@yearly", "0 0 1 1 *" },
        { "@annually", "0 0 1 1 *" },
        { "@monthly", "0 0 1 * *" },
        { "@weekly", "0 0 * * 0" },
        { "@daily", "0 0 * * *" },
        { "@midnight", "0 0 * * *" },
        { "@hourly", "0 * * * *" },
};

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

static void skip_blanks(CalendarScan *s) {
        while (is_blank(s->text[s->at]))
                s->at++;
}

static int scan_field(CalendarScan *s, const CalendarField *field, uint64_t *ret) {
        int r;

        assert(s);

        skip_blanks(s);
        /* Some crons write '?' for a day that does not matter. */
        if (s->text[s->at] == '?' && (field == &field_day || field == &field_weekday)) {
                s->at++;
                *ret = ~UINT64_C(0);
        } else {
                r = calendar_scan_bits(s, field, ret);
                if (r < 0)
                        return r;
        }
        if (s->text[s->at] != 0 && !is_blank(s->text[s->at]))
                return calendar_scan_fail(s, s->at, "this is not part of the %s", field->name);
        return 0;
}

/* Whether the next field is restricted. */
static bool restricted(CalendarScan *s) {
        skip_blanks(s);
        return s->text[s->at] != '*' && s->text[s->at] != '?';
}

static size_t count_fields(const char *text) {
        size_t n = 0;

        for (size_t i = 0; text[i]; i++)
                n += !is_blank(text[i]) && (i == 0 || is_blank(text[i - 1]));
        return n;
}

static int parse_fields(CalendarScan *s, CalendarSpec *ret) {
        uint64_t seconds = 1, minutes, hours, days, months, weekdays;
        bool day, weekday;
        int r = 0;

        assert(s);
        assert(ret);

        if (count_fields(s->text) == 6)
                r = scan_field(s, &field_second, &seconds);
        if (r >= 0)
                r = scan_field(s, &field_minute, &minutes);
        if (r >= 0)
                r = scan_field(s, &field_hour, &hours);
        if (r < 0)
                return r;
        day = restricted(s);
        s->day_at = s->at;
        r = scan_field(s, &field_day, &days);
        if (r >= 0)
                r = scan_field(s, &field_month, &months);
        if (r < 0)
                return r;
        weekday = restricted(s);
        r = scan_field(s, &field_weekday, &weekdays);
        if (r < 0)
                return r;

        ret->seconds = seconds;
        ret->minutes = minutes;
        ret->hours = (uint32_t) hours;
        ret->days = (uint32_t) days;
        ret->months = (uint16_t) months;
        ret->weekdays = (uint8_t) ((weekdays & 0x7f) | (weekdays >> 7 & 1));
        ret->day_or_weekday = day && weekday;
        return 0;
}

static int parse_word(CalendarScan *s, CalendarSpec *ret) {
        CalendarScan inner = { .failure = s->failure };
        const char *word = s->text + s->at;

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                const char *rest = startswith(word, words[i].word);

                if (!rest || rest[strspn(rest, " \t")] != 0)
                        continue;
                inner.text = words[i].expression;
                return parse_fields(&inner, ret);
        }
        if (startswith(word, "@reboot") || startswith(word, "@every"))
                return calendar_scan_fail(s, s->at,
                                          "@reboot and @every are not times of a calendar; for every ten"
                                          " minutes use */10 * * * *");
        return calendar_scan_fail(s, s->at,
                                  "there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and"
                                  " @hourly");
}

int calendar_parse_cron(CalendarScan *s, CalendarSpec *ret) {
        CalendarSpec spec = calendar_spec_all();
        int r;

        assert(s);
        assert(ret);

        skip_blanks(s);
        r = s->text[s->at] == '@' ? parse_word(s, &spec) : parse_fields(s, &spec);
        if (r < 0)
                return r;
        *ret = spec;
        return 0;
}
