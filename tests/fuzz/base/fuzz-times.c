/* SPDX-License-Identifier: Apache-2.0 */

/* A point in time as text: what is taken and printed again is the same millisecond. */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/times.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size);
        char buf[RFC3339_MAX];
        usec_t t, back;

        if (!text || parse_rfc3339(text, &t) < 0)
                return 0;
        if (parse_rfc3339(format_rfc3339(buf, t), &back) < 0)
                abort();
        if (back / USEC_PER_MSEC != t / USEC_PER_MSEC)
                abort();
        return 0;
}
