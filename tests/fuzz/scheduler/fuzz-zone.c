/* SPDX-License-Identifier: Apache-2.0 */

/* Any file: refused, or stretches of time that hold what was asked for and that a search gets through. */

#include <stdlib.h>

#include "wire/calendar.h"
#include "wire/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_search(const Zone *zone, const char *expression) {
        usec_t t = UINT64_C(1774700000) * USEC_PER_SEC, before;
        CalendarSpec spec;
        int r;

        if (calendar_parse(expression, &spec, NULL) < 0)
                abort();
        for (unsigned n = 0; n < 50; n++) {
                before = t;
                r = calendar_next(&spec, before, zone, &t);
                if (r == CALENDAR_E_NEVER)
                        break;
                if (r != 0 || t <= before)
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(zone_freep) Zone *zone = NULL;

        if (zone_parse(data, size, &zone) < 0)
                return 0;
        for (int64_t t = -2000000000; t < INT64_C(6000000000); t += 86400 * 97) {
                ZoneSegment segment = zone_segment(zone, t);

                if (segment.start > t || segment.end <= t)
                        abort();
        }
        check_search(zone, "30 2 * * *");
        check_search(zone, "*/20 * * * *");
        check_search(zone, "0 0 29 2 *");
        return 0;
}
