/* SPDX-License-Identifier: Apache-2.0 */

/* Numbers, sizes, spans and switches as text. */

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size), *again = NULL;
        uint64_t v;
        uint32_t w;
        usec_t span;
        bool b;

        if (!text)
                return 0;
        if (parse_u64(text, 0, UINT64_MAX, &v) >= 0) {
                /* Without leading zeros it is the one text of its number. */
                if (asprintf_safe(&again, "%" PRIu64, v) < 0)
                        return 0;
                if (!endswith(text, again) || strspn(text, "0123456789") != strlen(text))
                        abort();
        }
        if (parse_u32(text, 10, 1000, &w) >= 0 && (w < 10 || w > 1000))
                abort();
        (void) (parse_size(text, &v) < 0);
        (void) (parse_span(text, &span) < 0);
        (void) (parse_boolean(text, &b) < 0);
        (void) utf8_is_valid(text, size);
        return 0;
}
