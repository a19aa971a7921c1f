/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "storage/direct.h"
#include "storage/storage.h"

/* Shorter pieces go through the cache: waiting for the disk for each would cost more than the copy. */
#define DIRECT_MIN (256U << 10)

/* On a network or FUSE file system each such write would be a round trip. */
static bool is_of_disk(int fd) {
        struct statfs st;

        if (fstatfs(fd, &st) < 0)
                return false;
        return st.f_type == EXT4_SUPER_MAGIC || st.f_type == XFS_SUPER_MAGIC ||
                        st.f_type == BTRFS_SUPER_MAGIC || st.f_type == F2FS_SUPER_MAGIC;
}

void direct_init(DirectWrite *d, int fd) {
        assert(d);
        assert(fd >= 0);

        *d = (DirectWrite){ .fd = fd, .refused = !is_of_disk(fd) };
}

static void direct_switch(DirectWrite *d, bool on) {
        int flags;

        assert(d);

        if (d->on == on)
                return;
        flags = fcntl(d->fd, F_GETFL);
        if (flags < 0 || fcntl(d->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
                d->refused = true;
        else
                d->on = on;
}

/* The rest, through the cache, from where the refused write stopped. */
static int direct_give_up(DirectWrite *d, const char *data, size_t n, uint64_t offset) {
        off_t at;

        assert(d);

        d->refused = true;
        direct_switch(d, /* on= */ false);
        at = lseek(d->fd, 0, SEEK_CUR);
        if (at < 0)
                return -errno;
        if (d->on || (uint64_t) at < offset || (uint64_t) at - offset > n)
                return -EIO;
        return write_full(d->fd, data + ((uint64_t) at - offset), n - ((uint64_t) at - offset));
}

int direct_write(DirectWrite *d, const void *data, size_t n, uint64_t offset) {
        bool fits;
        int r;

        assert(d);
        assert(data || n == 0);

        fits = n >= DIRECT_MIN && ((uintptr_t) data | n | offset) % STORAGE_ALIGNMENT == 0;
        direct_switch(d, fits && !d->refused);
        r = write_full(d->fd, data, n);
        return r == -EINVAL && d->on ? direct_give_up(d, data, n, offset) : r;
}
