/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/human.h"

char *human_size(char buf[static HUMAN_MAX], uint64_t bytes) {
        static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        uint64_t whole = bytes, rest = 0;
        size_t unit = 0;

        if (bytes < 1024) {
                (void) snprintf(buf, HUMAN_MAX, "%" PRIu64 " B", bytes);
                return buf;
        }
        for (;; unit++) {
                rest = whole % 1024;
                whole /= 1024;
                if (whole < 1024 || unit + 1 == ELEMENTSOF(units))
                        break;
        }
        (void) snprintf(buf, HUMAN_MAX, "%" PRIu64 ".%" PRIu64 " %s", whole, rest * 10 / 1024, units[unit]);
        return buf;
}

char *human_span(char buf[static HUMAN_MAX], usec_t span) {
        uint64_t seconds = span / USEC_PER_SEC;

        if (span < USEC_PER_MINUTE)
                (void) snprintf(buf, HUMAN_MAX, "%" PRIu64 ".%" PRIu64 " s", seconds,
                                span % USEC_PER_SEC / (USEC_PER_SEC / 10));
        else if (span < USEC_PER_HOUR)
                (void) snprintf(buf, HUMAN_MAX, "%" PRIu64 " min %02" PRIu64 " s", seconds / 60,
                                seconds % 60);
        else
                (void) snprintf(buf, HUMAN_MAX, "%" PRIu64 " h %02" PRIu64 " min", seconds / 3600,
                                seconds / 60 % 60);
        return buf;
}

const char *human_time(char buf[static HUMAN_MAX], const char *text) {
        struct tm tm;
        time_t seconds;
        usec_t t;

        assert(text);

        if (parse_rfc3339(text, &t) < 0)
                return text;
        seconds = (time_t) (t / USEC_PER_SEC);
        if (!localtime_r(&seconds, &tm) || strftime(buf, HUMAN_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                return text;
        return buf;
}
