#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The rule of a time zone for all years to come, as POSIX writes it in TZ and RFC 8536 in a file's footer:
 * "CET-1CEST,M3.5.0,M10.5.0/3". */

#include "wire/zone.h"

typedef enum ZoneDayKind {
        ZONE_DAY_JULIAN,  /* Jn: 1 … 365, 29 February is never counted */
        ZONE_DAY_ORDINAL, /* n: 0 … 365 */
        ZONE_DAY_WEEKDAY, /* Mm.w.d */
} ZoneDayKind;

typedef struct ZoneChange {
        ZoneDayKind kind;
        int day; /* of the year, or of the week with Sunday as 0 */
        int month;
        int week;     /* 1 … 5, where 5 is the last */
        int32_t time; /* seconds after midnight, may be negative or beyond a day */
} ZoneChange;

typedef struct ZoneRule {
        int32_t standard; /* offsets as added to UTC */
        int32_t daylight;
        bool has_daylight;
        ZoneChange start; /* in standard time */
        ZoneChange end;   /* in daylight time */
} ZoneRule;

/* n bytes of text. -EBADMSG: not a rule. */
int zone_rule_parse(const char *text, size_t n, ZoneRule *ret) _warn_unused_;

ZoneSegment zone_rule_segment(const ZoneRule *rule, int64_t t);
