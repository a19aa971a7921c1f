/* SPDX-License-Identifier: Apache-2.0 */

/* Lists of FTP servers: what is given has a name, without a line end, and sizes that can be added up. */

#include <errno.h>

#include "storage/mlsx.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_entry(void *userdata, const MlsxEntry *e) {
        unsigned *left = userdata;

        CHECK(e->name);
        CHECK(e->name[0] != 0);
        CHECK(strlen(e->name) <= MLSX_LINE_MAX);
        CHECK(!strchr(e->name, '\n'));
        CHECK(e->size <= INT64_MAX);
        CHECK(e->has_size || e->size == 0);
        return --*left == 0 ? 7 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        unsigned left = 1000;
        int r;

        r = mlsx_read(data, size, on_entry, &left);
        CHECK(r == 0 || r == -EBADMSG || (r == 7 && left == 0));
        return 0;
}
