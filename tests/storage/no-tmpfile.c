/* SPDX-License-Identifier: Apache-2.0 */

/* Preloaded, makes every file system one that lacks O_TMPFILE and renameat2()'s flags, as NFS does. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int openat64(int dirfd, const char *path, int flags, ...) {
        mode_t mode;
        va_list ap;

        va_start(ap, flags);
        mode = (mode_t) va_arg(ap, int);
        va_end(ap);
        if ((flags & O_TMPFILE) == O_TMPFILE) {
                errno = EOPNOTSUPP;
                return -1;
        }
        return (int) syscall(SYS_openat, dirfd, path, flags | O_LARGEFILE, mode);
}

EXPORT int renameat2(int from, const char *old, int to, const char *path, unsigned flags) {
        if (flags != 0) {
                errno = EINVAL;
                return -1;
        }
        return renameat(from, old, to, path);
}
