/* SPDX-License-Identifier: Apache-2.0 */

/* Lists of WebDAV servers: what is given is whole, and has a path without a NUL. */

#include <errno.h>

#include "storage/multistatus.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_resource(void *userdata, const DavResource *d) {
        unsigned *left = userdata;

        CHECK(d->path);
        CHECK(d->path[0] == '/');
        CHECK(d->size <= INT64_MAX);
        CHECK(d->free_bytes + d->used_bytes >= d->free_bytes);
        return --*left == 0 ? 7 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        unsigned left = 1000;
        int r;

        r = multistatus_read(data, size, on_resource, &left);
        CHECK(r == 0 || r == -EBADMSG || (r == 7 && left == 0));
        return 0;
}
