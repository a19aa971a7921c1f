/* SPDX-License-Identifier: Apache-2.0 */

/* Any text: refused with a place in it, or its times rise and end. */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/calendar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const zones[] = { "UTC", "Europe/Berlin", "Australia/Lord_Howe",
                                             "America/Santiago" };
        _cleanup_(freep) char *text = memdup0(data, size);

        if (!text)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(zones); i++) {
                _cleanup_(timetable_freep) Timetable *s = NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                usec_t t = UINT64_C(1774700000) * USEC_PER_SEC, before;
                int r;

                r = timetable_new(text, zones[i], &s, &failure);
                if (r < 0) {
                        if (!failure_is_set(&failure))
                                abort();
                        continue;
                }
                for (unsigned n = 0; n < 20; n++) {
                        before = t;
                        r = timetable_next(s, before, &t);
                        if (r == CALENDAR_E_NEVER)
                                break;
                        if (r != 0 || t <= before)
                                abort();
                }
        }
        return 0;
}
