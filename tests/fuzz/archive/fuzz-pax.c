/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as an archive: read to the end or to the first error. What was understood is written again and
 * must be understood the same way. */

#include <stdlib.h>

#include "archive/pax.h"
#include "base/text.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input {
        const uint8_t *data;
        size_t size, at;
} Input;

static ssize_t input_read(void *userdata, void *buf, size_t n) {
        Input *in = userdata;

        n = MIN(n, in->size - in->at);
        memcpy(buf, in->data + in->at, n);
        in->at += n;
        return (ssize_t) n;
}

static void check_again(const Member *m) {
        _cleanup_(pax_reader_freep) PaxReader *r = NULL;
        _cleanup_(member_done) Member again = MEMBER_NULL;
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        Input in;

        if (pax_header(m, &out) < 0)
                return;
        in = (Input){ (const uint8_t *) out.data, out.size, 0 };
        CHECK_OK(pax_reader_new(input_read, &in, &r));
        CHECK_INT(pax_reader_next(r, &again, NULL), 1);
        CHECK_STR(again.path, m->path);
        CHECK_INT(again.size, m->size);
        CHECK_INT(again.n_xattrs, m->n_xattrs);
        CHECK_INT(again.mtime_sec, m->mtime_sec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(pax_reader_freep) PaxReader *r = NULL;
        Input in = { data, size, 0 };

        CHECK_OK(pax_reader_new(input_read, &in, &r));
        for (;;) {
                _cleanup_(member_done) Member m = MEMBER_NULL;
                uint64_t offset;
                char buf[300];

                if (pax_reader_next(r, &m, NULL) <= 0)
                        return 0;
                check_again(&m);
                while (pax_reader_data(r, buf, sizeof buf, &offset) > 0)
                        CHECK(offset < m.size);
        }
}
