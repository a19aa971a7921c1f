#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* File system calls of the walk. On a file system that may never answer (network, FUSE) a call runs in a
 * helper thread and is waited for with a limit; where the limit passes, the helper is left behind with
 * everything it uses, and the call gives -ETIMEDOUT. Elsewhere a call is just the system call. */

#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/macros.h"
#include "base/times.h"

/* Helpers that may be left behind in one run. Then every such call is refused at once. */
#define FS_ABANDONED_MAX 32
/* What one call reads at most. */
#define FS_READ_MAX (1U << 20)

typedef struct Fs Fs;

/* What we keep of stat. */
typedef struct FsStat {
        uint32_t mode;
        uint32_t nlink;
        uint32_t uid, gid;
        uint64_t dev, ino;
        uint64_t size;
        uint64_t allocated; /* bytes on disk */
        int64_t mtime_sec, ctime_sec;
        uint32_t mtime_nsec, ctime_nsec;
        uint32_t major, minor; /* of device nodes */
} FsStat;

int fs_new(usec_t limit, const atomic_bool *cancel, Fs **ret) _warn_unused_;
Fs *fs_free(Fs *fs);

/* Whether the following calls are guarded. */
void fs_guard(Fs *fs, bool guarded);

/* Gives a descriptor or negative errno; -ECANCELED where the cancel flag ended the wait. O_CLOEXEC and
 * O_NOCTTY are added. */
int fs_open(Fs *fs, int dirfd, const char *name, int flags) _warn_unused_;
/* name "" is dirfd itself. */
int fs_stat(Fs *fs, int dirfd, const char *name, bool follow, FsStat *ret) _warn_unused_;
/* Records of getdents64(2). */
ssize_t fs_list(Fs *fs, int fd, void *buf, size_t n) _warn_unused_;
ssize_t fs_pread(Fs *fs, int fd, void *buf, size_t n, uint64_t offset) _warn_unused_;
int64_t fs_seek(Fs *fs, int fd, int64_t offset, int whence) _warn_unused_;
ssize_t fs_readlink(Fs *fs, int dirfd, const char *name, char *buf, size_t n) _warn_unused_;
/* Of name in dirfd, not followed; name "" is dirfd itself. */
ssize_t fs_list_xattrs(Fs *fs, int dirfd, const char *name, void *buf, size_t n) _warn_unused_;
ssize_t fs_get_xattr(Fs *fs, int dirfd, const char *name, const char *xattr, void *buf,
                     size_t n) _warn_unused_;
/* statfs(2)'s type. */
int fs_type(Fs *fs, int fd, uint64_t *ret) _warn_unused_;

DEFINE_CLEANUP(Fs *, fs_free);
