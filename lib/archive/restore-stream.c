/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "archive/restore-stream.h"

static ssize_t cursor_read(void *userdata, void *buf, size_t n) {
        RestoreCursor *c = ASSERT_PTR(userdata);
        uint64_t before = c->position;
        ssize_t k;

        k = copies_pread(c->run->copies, c->position, buf, n, &c->run->result->failure);
        if (k < 0)
                return k;
        c->position += (uint64_t) k;
        c->run->progress.bytes_read += MIN(c->position, c->counted) - MIN(before, c->counted);
        return k;
}

int restore_cursor_open(RestoreCursor *c, PaxReader **ret) {
        assert(c);
        assert(c->run);
        assert(ret);

        return pax_reader_new(cursor_read, c, ret);
}

int restore_cursor_next(RestoreCursor *c, PaxReader *reader, Member *ret) {
        const char *reason = NULL;
        int r;

        assert(c);
        assert(reader);
        assert(ret);

        r = pax_reader_next(reader, ret, &reason);
        if (r == -EBADMSG)
                return failure_set(&c->run->result->failure, r, "ARCHIVE_DAMAGED",
                                   "The archive cannot be read further: %s",
                                   reason ? reason : "it is damaged");
        return r;
}
