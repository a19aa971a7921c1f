/* SPDX-License-Identifier: Apache-2.0 */

/* Lines: all but the last are patterns, the last is a path. */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/exclude.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *sources[] = { (char *) "/srv/data", (char *) "/", NULL };
        _cleanup_(strv_freep) char **patterns = NULL;
        _cleanup_(excludes_freep) Excludes *e = NULL;
        _cleanup_(freep) char *text = memdup0(data, size);
        char *line = text, *newline;

        CHECK(text);
        if (size > 1 << 14)
                return 0;
        while ((newline = strchr(line, '\n'))) {
                *newline = 0;
                CHECK_OK(strv_extend(&patterns, line));
                line = newline + 1;
        }
        if (excludes_new(patterns, sources, &e, NULL) < 0 || isempty(line))
                return 0;
        (void) excludes_match(e, 0, line, false);
        (void) excludes_match(e, 1, line, true);
        return 0;
}
