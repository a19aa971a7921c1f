#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The two languages of calendar expressions and what they share: scanning a field with errors that point
 * at the character, and finding local times that match. Local times are seconds since 1970-01-01 as a
 * clock on the wall shows them. */

#include <stdlib.h>

#include "wire/calendar.h"

/* The text being parsed; at is where. */
typedef struct CalendarScan {
        const char *text;
        size_t at;
        size_t day_at; /* where the days stand, for dates that no year has */
        Failure *failure;
} CalendarScan;

/* A field: its name for messages, its values, and names that stand for values. */
typedef struct CalendarField {
        const char *name;
        unsigned min;
        unsigned max;
        const char *const *names; /* full English names, NULL-terminated: three letters are enough */
        unsigned names_first;     /* the value of the first name */
        const char *range;        /* the sign between the ends of a range */
} CalendarField;

/* "3", "1..5", "0/15", "*", "*" "/2". */
typedef struct CalendarRange {
        unsigned start;
        unsigned stop; /* max of the field where the text says none */
        unsigned step; /* 0: start alone */
        bool star;
        bool open; /* no stop was named */
} CalendarRange;

extern const char *const calendar_weekday_names[];
extern const char *const calendar_month_names[];

/* Gives -EINVAL; at counts from 0, the message from 1. */
int calendar_scan_fail(CalendarScan *s, size_t at, const char *format, ...) _printf_(3, 4);

/* One item of a list; stops behind it. */
int calendar_scan_range(CalendarScan *s, const CalendarField *field, CalendarRange *ret) _warn_unused_;

/* The value that a run of n letters names, full or its first three letters; negative: none. */
int calendar_find_name(const CalendarField *field, const char *s, size_t n);

/* A whole list, "1,5..7", as bits; for fields whose values fit. */
int calendar_scan_bits(CalendarScan *s, const CalendarField *field, uint64_t *ret) _warn_unused_;

int calendar_parse_cron(CalendarScan *s, CalendarSpec *ret) _warn_unused_;
int calendar_parse_event(CalendarScan *s, CalendarSpec *ret) _warn_unused_;

static inline void calendar_set_year(CalendarSpec *spec, unsigned year) {
        spec->years[(year - CALENDAR_YEAR_MIN) / 64] |= UINT64_C(1) << ((year - CALENDAR_YEAR_MIN) % 64);
}

/* Every second of every day of every year. */
CalendarSpec calendar_spec_all(void);

/* The first matching local time in [from, limit); CALENDAR_E_NEVER. */
int calendar_spec_find(const CalendarSpec *spec, int64_t from, int64_t limit, int64_t *ret) _warn_unused_;

/* Whether it follows real time rather than the wall clock. */
static inline bool calendar_spec_every_hour(const CalendarSpec *spec) {
        return spec->hours == (UINT32_C(1) << 24) - 1;
}
