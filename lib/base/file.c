/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/alloc.h"
#include "base/text.h"

int read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_(freep) char *data = NULL;
        size_t size = 0, allocated = 4096;

        assert(path);
        assert(ret);

        fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        for (;;) {
                char *grown;
                ssize_t n;

                grown = realloc(data, allocated + 1);
                if (!grown)
                        return -ENOMEM;
                data = grown;
                n = read_full(fd, data + size, allocated - size);
                if (n < 0)
                        return (int) n;
                size += (size_t) n;
                if (size > max)
                        return -EFBIG;
                if (size < allocated)
                        break;
                allocated *= 2;
        }
        data[size] = 0;
        *ret = TAKE_PTR(data);
        if (ret_size)
                *ret_size = size;
        return 0;
}

int fsync_parent(int dirfd, const char *path) {
        _cleanup_(freep) char *parent = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *slash;

        assert(path);

        slash = strrchr(path, '/');
        parent = !slash ? strdup(".") : memdup0(path, slash == path ? 1 : (size_t) (slash - path));
        if (!parent)
                return -ENOMEM;
        fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

static int write_and_sync(int fd, const void *p, size_t n, mode_t mode) {
        int r;

        r = write_full(fd, p, n);
        if (r < 0)
                return r;
        if (fchmod(fd, mode) < 0 || fdatasync(fd) < 0)
                return -errno;
        return 0;
}

int write_file_atomic(int dirfd, const char *path, const void *p, size_t n, mode_t mode) {
        _cleanup_(freep) char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        unsigned char random[8];
        char suffix[2 * sizeof(random) + 1];
        int r;

        assert(path);
        assert(p || n == 0);

        if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
                return -EIO;
        r = asprintf_safe(&temporary, "%s.%s~", path, hex_encode(random, sizeof(random), suffix));
        if (r < 0)
                return r;
        fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        r = write_and_sync(fd, p, n, mode);
        if (r >= 0 && renameat(dirfd, temporary, dirfd, path) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(dirfd, temporary, 0);
                return r;
        }
        return fsync_parent(dirfd, path);
}

/* A folder that can be written to and not read cannot be synced. */
static int mkdir_durably(const char *path, mode_t mode) {
        int r;

        if (mkdir(path, mode) < 0)
                return errno == EEXIST ? 0 : -errno;
        r = fsync_parent(AT_FDCWD, path);
        return r == -EACCES ? 0 : r;
}

int mkdir_p(const char *path, mode_t mode) {
        _cleanup_(freep) char *copy = NULL;
        int r;

        assert(path);

        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1; *p; p++) {
                if (*p != '/')
                        continue;
                *p = 0;
                r = mkdir_durably(copy, mode);
                if (r < 0)
                        return r;
                *p = '/';
        }
        return mkdir_durably(copy, mode);
}
