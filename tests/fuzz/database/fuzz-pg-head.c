/* SPDX-License-Identifier: Apache-2.0 */

/* The beginning of a dump, from which words come that are sent to a server. */

#include "base/alloc.h"
#include "base/text.h"
#include "database/pg-server.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *options = NULL;

        CHECK_OK(pg_head_create_options((const char *) data, size, &options));
        CHECK(!strpbrk(options, ";\"\\\n$"));
        return 0;
}
