/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/fd.h"

/* Somebody renames directories while we walk: the kernel asks us to try again. */
#define TRIES 32

/* openat2() takes hardly any flag beside O_PATH. */
static int with_defaults(int flags) {
        return flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY);
}

static int open_whole(int dirfd, const char *path, int flags, mode_t mode) {
        struct open_how how = {
                .flags = (uint64_t) (unsigned) flags,
                .mode = flags & O_CREAT ? mode : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };

        for (unsigned i = 0; i < TRIES; i++) {
                long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

                if (fd >= 0)
                        return (int) fd;
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
        }
        return -EAGAIN;
}

/* The last part. O_PATH alone would open a link that stands there. */
static int open_last(int dirfd, const char *name, int flags, mode_t mode) {
        _cleanup_close_ int fd = openat(dirfd, name, flags | O_NOFOLLOW, mode);
        struct stat st;

        if (fd < 0)
                /* A link that was to be a directory. */
                return errno == ENOTDIR && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                                                S_ISLNK(st.st_mode) ?
                                -ELOOP :
                                -errno;
        if ((flags & O_PATH) && !(flags & O_NOFOLLOW)) {
                if (fstat(fd, &st) < 0)
                        return -errno;
                if (S_ISLNK(st.st_mode))
                        return -ELOOP;
        }
        return TAKE_FD(fd);
}

/* Copies the first n bytes of path: -EXDEV for "..", -ENAMETOOLONG. */
static int take_part(const char *path, size_t n, char part[static NAME_MAX + 1]) {
        if (n > NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(part, path, n);
        part[n] = 0;
        return strcmp(part, "..") == 0 ? -EXDEV : 0;
}

int open_beneath_by_steps(int dirfd, const char *path, int flags, mode_t mode) {
        _cleanup_close_ int here = -EBADF;
        char part[NAME_MAX + 1];
        int r;

        assert(path);

        flags = with_defaults(flags);
        if (path[0] == '/')
                return -EXDEV;
        if (path[0] == 0)
                return -ENOENT;
        for (;;) {
                size_t n = strcspn(path, "/"), gap = strspn(path + n, "/");
                int next;

                r = take_part(path, n, part);
                if (r < 0)
                        return r;
                if (path[n + gap] == 0)
                        /* A slash at the end asks for a directory. */
                        return open_last(here >= 0 ? here : dirfd, part,
                                         gap > 0 ? flags | O_DIRECTORY : flags, mode);
                next = open_last(here >= 0 ? here : dirfd, part, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
                if (next < 0)
                        return next;
                here = safe_close(here);
                here = next;
                path += n + gap;
        }
}

int open_beneath(int dirfd, const char *path, int flags, mode_t mode) {
        int fd;

        assert(path);

        fd = open_whole(dirfd, path, with_defaults(flags), mode);
        return fd == -ENOSYS ? open_beneath_by_steps(dirfd, path, flags, mode) : fd;
}
