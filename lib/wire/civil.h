#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The calendar as arithmetic: proleptic Gregorian dates and days since 1970-01-01. */

#include "base/macros.h"

#define SECONDS_PER_DAY 86400

typedef struct CivilDate {
        int year;
        int month; /* 1 … 12 */
        int day;   /* 1 … 31 */
} CivilDate;

static inline bool civil_leap_year(int year) {
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static inline int civil_days_in_month(int year, int month) {
        if (month == 2)
                return civil_leap_year(year) ? 29 : 28;
        return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Rounds down, also for negative numbers. */
static inline int64_t civil_floor_div(int64_t a, int64_t b) {
        return a / b - (a % b < 0);
}

/* Years are counted from March, so that the leap day is the last one of its year. */
static inline int64_t civil_to_days(CivilDate date) {
        int64_t year = (int64_t) date.year - (date.month <= 2);
        int64_t era = civil_floor_div(year, 400);
        int64_t year_of_era = year - era * 400;
        int64_t day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;
        int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

        return era * 146097 + day_of_era - 719468;
}

static inline CivilDate civil_from_days(int64_t days) {
        int64_t shifted = days + 719468;
        int64_t era = civil_floor_div(shifted, 146097);
        int64_t day_of_era = shifted - era * 146097;
        int64_t year_of_era =
                        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        int64_t march_month = (5 * day_of_year + 2) / 153;
        int month = (int) (march_month < 10 ? march_month + 3 : march_month - 9);

        return (CivilDate){
                .year = (int) (year_of_era + era * 400 + (month <= 2)),
                .month = month,
                .day = (int) (day_of_year - (153 * march_month + 2) / 5 + 1),
        };
}

/* Sunday is 0; 1970-01-01 was a Thursday. */
static inline int civil_weekday(int64_t days) {
        return (int) ((days % 7 + 7 + 4) % 7);
}
