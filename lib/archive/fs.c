/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "archive/fs.h"
#include "base/alloc.h"
#include "base/fd.h"

/* How often a wait looks at the cancel flag. */
#define POLL_INTERVAL (100 * USEC_PER_MSEC)

typedef enum OpKind {
        OP_OPEN,
        OP_STAT,
        OP_LIST,
        OP_PREAD,
        OP_SEEK,
        OP_READLINK,
        OP_LIST_XATTRS,
        OP_GET_XATTR,
        OP_TYPE,
} OpKind;

typedef struct Op {
        OpKind kind;
        int fd;
        const char *name, *xattr;
        int flags;
        int64_t offset;
        void *buf;
        size_t size;
        FsStat stat;
        uint64_t type;
        int64_t result; /* or negative errno */
} Op;

/* One thread that makes one call at a time. Owned by two, itself and the Fs; the one that leaves last frees
 * it. */
typedef struct Helper {
        pthread_mutex_t lock;
        pthread_cond_t wake, done;
        Op op; /* its texts and buffer are the helper's own */
        char *name, *xattr;
        char *buf;
        bool busy, finished, leave, abandoned;
} Helper;

struct Fs {
        usec_t limit;
        const atomic_bool *cancel;
        bool guarded;
        Helper *helper;
        unsigned abandoned;
};

/* --- The calls ---------------------------------------------------------------------------------------- */

static int stat_call(Op *op) {
        struct statx x;
        int flags = op->flags | (op->name[0] == 0 ? AT_EMPTY_PATH : 0);

        if (statx(op->fd, op->name, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &x) < 0)
                return -errno;
        op->stat = (FsStat){
                .mode = x.stx_mode,
                .nlink = x.stx_nlink,
                .uid = x.stx_uid,
                .gid = x.stx_gid,
                .dev = (uint64_t) x.stx_dev_major << 32 | x.stx_dev_minor,
                .ino = x.stx_ino,
                .size = x.stx_size,
                .allocated = x.stx_blocks * 512,
                .mtime_sec = x.stx_mtime.tv_sec,
                .mtime_nsec = x.stx_mtime.tv_nsec,
                .ctime_sec = x.stx_ctime.tv_sec,
                .ctime_nsec = x.stx_ctime.tv_nsec,
                .major = x.stx_rdev_major,
                .minor = x.stx_rdev_minor,
        };
        return 0;
}

static int type_call(Op *op) {
        struct statfs s;

        if (fstatfs(op->fd, &s) < 0)
                return -errno;
        op->type = (uint64_t) s.f_type;
        return 0;
}

/* There is no fgetxattr() for what cannot be opened; the way over /proc needs no long path either. */
static void proc_path(char buf[static 320], const Op *op) {
        (void) snprintf(buf, 320, "/proc/self/fd/%d%s%s", op->fd, op->name[0] ? "/" : "", op->name);
}

/* Of what is open; EBADF: only as a path. */
static ssize_t open_xattr_call(Op *op) {
        return op->kind == OP_LIST_XATTRS ? flistxattr(op->fd, op->buf, op->size) :
                                            fgetxattr(op->fd, op->xattr, op->buf, op->size);
}

static ssize_t xattr_call(Op *op) {
        char path[320];
        ssize_t n;

        assert(op);

        if (op->name[0] == 0) {
                n = open_xattr_call(op);
                if (n >= 0 || errno != EBADF)
                        return n;
        }
        proc_path(path, op);
        /* The magic link itself must be followed, a name behind it must not. */
        if (op->kind == OP_LIST_XATTRS)
                return op->name[0] ? llistxattr(path, op->buf, op->size) :
                                     listxattr(path, op->buf, op->size);
        if (op->name[0])
                return lgetxattr(path, op->xattr, op->buf, op->size);
        return getxattr(path, op->xattr, op->buf, op->size);
}

static int64_t op_call(Op *op) {
        int64_t r = -1;

        assert(op);

        switch (op->kind) {
        case OP_OPEN:
                r = openat(op->fd, op->name, op->flags | O_CLOEXEC | O_NOCTTY);
                break;
        case OP_STAT:
                return stat_call(op);
        case OP_LIST:
                r = syscall(SYS_getdents64, op->fd, op->buf, op->size);
                break;
        case OP_PREAD:
                do
                        r = pread(op->fd, op->buf, op->size, op->offset);
                while (r < 0 && errno == EINTR);
                break;
        case OP_SEEK:
                r = lseek(op->fd, op->offset, op->flags);
                break;
        case OP_READLINK:
                r = readlinkat(op->fd, op->name, op->buf, op->size);
                break;
        case OP_LIST_XATTRS:
        case OP_GET_XATTR:
                r = xattr_call(op);
                break;
        case OP_TYPE:
                return type_call(op);
        }
        return r < 0 ? -errno : r;
}

/* --- Helpers ------------------------------------------------------------------------------------------ */

static void helper_destroy(Helper *h) {
        free(h->name);
        free(h->xattr);
        free(h->buf);
        (void) pthread_mutex_destroy(&h->lock);
        (void) pthread_cond_destroy(&h->wake);
        (void) pthread_cond_destroy(&h->done);
        free(h);
}

static void *helper_main(void *userdata) {
        Helper *h = userdata;
        bool abandoned;

        (void) pthread_mutex_lock(&h->lock);
        for (;;) {
                while (!h->busy && !h->leave)
                        (void) pthread_cond_wait(&h->wake, &h->lock);
                if (h->leave)
                        break;
                (void) pthread_mutex_unlock(&h->lock);
                h->op.result = op_call(&h->op);
                (void) pthread_mutex_lock(&h->lock);
                h->busy = false;
                h->finished = true;
                if (h->abandoned) {
                        if (h->op.kind == OP_OPEN && h->op.result >= 0)
                                safe_close((int) h->op.result);
                        break;
                }
                (void) pthread_cond_signal(&h->done);
        }
        abandoned = h->abandoned;
        h->leave = true;
        (void) pthread_cond_signal(&h->done);
        (void) pthread_mutex_unlock(&h->lock);
        if (abandoned)
                helper_destroy(h);
        return NULL;
}

static int helper_new(Helper **ret) {
        pthread_condattr_t attributes;
        pthread_attr_t detached;
        pthread_t thread;
        Helper *h;
        int r;

        h = new0(Helper, 1);
        if (!h)
                return -ENOMEM;
        h->buf = malloc(FS_READ_MAX);
        (void) pthread_mutex_init(&h->lock, NULL);
        (void) pthread_condattr_init(&attributes);
        (void) pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&h->wake, &attributes);
        (void) pthread_cond_init(&h->done, &attributes);
        (void) pthread_condattr_destroy(&attributes);
        (void) pthread_attr_init(&detached);
        (void) pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        r = h->buf ? pthread_create(&thread, &detached, helper_main, h) : ENOMEM;
        (void) pthread_attr_destroy(&detached);
        if (r != 0) {
                helper_destroy(h);
                return -r;
        }
        *ret = h;
        return 0;
}

/* Waits until the helper is done; false where the limit passed or the run was cancelled. */
static bool helper_wait(const Fs *fs, Helper *h) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), fs->limit);

        assert(h);

        while (!h->finished) {
                usec_t now = now_usec(CLOCK_MONOTONIC), next = usec_add(now, POLL_INTERVAL);
                struct timespec at = { .tv_sec = (time_t) (next / USEC_PER_SEC),
                                       .tv_nsec = (long) (next % USEC_PER_SEC * 1000) };

                if (now >= end || (fs->cancel && atomic_load(fs->cancel)))
                        return false;
                (void) pthread_cond_timedwait(&h->done, &h->lock, &at);
        }
        return true;
}

/* Copies op into the helper, with everything it points to. */
static int helper_load(Helper *h, const Op *op) {
        char *name = NULL, *xattr = NULL;

        assert(h);

        if (op->name) {
                name = memdup0(op->name, strlen(op->name));
                if (!name)
                        return -ENOMEM;
        }
        if (op->xattr) {
                xattr = memdup0(op->xattr, strlen(op->xattr));
                if (!xattr) {
                        free(name);
                        return -ENOMEM;
                }
        }
        free(h->name);
        free(h->xattr);
        h->name = name;
        h->xattr = xattr;
        h->op = *op;
        h->op.name = name;
        h->op.xattr = xattr;
        h->op.buf = op->buf ? h->buf : NULL;
        h->op.size = MIN(op->size, (size_t) FS_READ_MAX);
        h->finished = false;
        return 0;
}

static int64_t helper_call(Fs *fs, Op *op) {
        Helper *h = fs->helper;
        int64_t r;

        assert(op);

        (void) pthread_mutex_lock(&h->lock);
        r = helper_load(h, op);
        if (r < 0) {
                (void) pthread_mutex_unlock(&h->lock);
                return r;
        }
        h->busy = true;
        (void) pthread_cond_signal(&h->wake);
        if (!helper_wait(fs, h)) {
                h->abandoned = true;
                fs->helper = NULL;
                fs->abandoned++;
                (void) pthread_mutex_unlock(&h->lock);
                return fs->cancel && atomic_load(fs->cancel) ? -ECANCELED : -ETIMEDOUT;
        }
        r = h->op.result;
        op->stat = h->op.stat;
        op->type = h->op.type;
        if (r > 0 && op->buf && op->size > 0)
                memcpy(op->buf, h->buf, (size_t) r);
        (void) pthread_mutex_unlock(&h->lock);
        return r;
}

static int64_t op_run(Fs *fs, Op *op) {
        int r;

        assert(fs);

        if (!fs->guarded)
                return op_call(op);
        if (fs->abandoned >= FS_ABANDONED_MAX)
                return -ETIMEDOUT;
        if (!fs->helper) {
                r = helper_new(&fs->helper);
                if (r < 0)
                        return r;
        }
        return helper_call(fs, op);
}

/* --- The face ---------------------------------------------------------------------------------------------
 */

int fs_new(usec_t limit, const atomic_bool *cancel, Fs **ret) {
        Fs *fs;

        assert(ret);

        fs = new0(Fs, 1);
        if (!fs)
                return -ENOMEM;
        fs->limit = limit;
        fs->cancel = cancel;
        *ret = fs;
        return 0;
}

Fs *fs_free(Fs *fs) {
        Helper *h;

        if (!fs)
                return NULL;
        h = fs->helper;
        if (h) {
                /* Idle: it goes, and frees itself. */
                (void) pthread_mutex_lock(&h->lock);
                h->leave = h->abandoned = true;
                (void) pthread_cond_signal(&h->wake);
                (void) pthread_mutex_unlock(&h->lock);
        }
        return mfree(fs);
}

void fs_guard(Fs *fs, bool guarded) {
        assert(fs);

        fs->guarded = guarded;
}

int fs_open(Fs *fs, int dirfd, const char *name, int flags) {
        assert(fs);
        assert(name);

        return (int) op_run(fs, &(Op){ .kind = OP_OPEN, .fd = dirfd, .name = name, .flags = flags });
}

int fs_stat(Fs *fs, int dirfd, const char *name, bool follow, FsStat *ret) {
        Op op = { .kind = OP_STAT, .fd = dirfd, .name = name, .flags = follow ? 0 : AT_SYMLINK_NOFOLLOW };
        int r;

        assert(fs);
        assert(name);
        assert(ret);

        r = (int) op_run(fs, &op);
        if (r < 0)
                return r;
        *ret = op.stat;
        return 0;
}

ssize_t fs_list(Fs *fs, int fd, void *buf, size_t n) {
        assert(fs);
        assert(buf);

        return op_run(fs, &(Op){ .kind = OP_LIST, .fd = fd, .buf = buf, .size = n });
}

ssize_t fs_pread(Fs *fs, int fd, void *buf, size_t n, uint64_t offset) {
        Op op = { .kind = OP_PREAD, .fd = fd, .buf = buf, .size = n, .offset = (int64_t) offset };

        assert(fs);
        assert(buf);

        return op_run(fs, &op);
}

int64_t fs_seek(Fs *fs, int fd, int64_t offset, int whence) {
        assert(fs);

        return op_run(fs, &(Op){ .kind = OP_SEEK, .fd = fd, .offset = offset, .flags = whence });
}

ssize_t fs_readlink(Fs *fs, int dirfd, const char *name, char *buf, size_t n) {
        assert(fs);
        assert(name);
        assert(buf);

        return op_run(fs, &(Op){ .kind = OP_READLINK, .fd = dirfd, .name = name, .buf = buf, .size = n });
}

ssize_t fs_list_xattrs(Fs *fs, int dirfd, const char *name, void *buf, size_t n) {
        assert(fs);
        assert(name);
        assert(buf);

        return op_run(fs, &(Op){ .kind = OP_LIST_XATTRS, .fd = dirfd, .name = name, .buf = buf, .size = n });
}

ssize_t fs_get_xattr(Fs *fs, int dirfd, const char *name, const char *xattr, void *buf, size_t n) {
        Op op = { .kind = OP_GET_XATTR, .fd = dirfd, .name = name, .xattr = xattr, .buf = buf, .size = n };

        assert(fs);
        assert(name);
        assert(xattr);
        assert(buf);

        return op_run(fs, &op);
}

int fs_type(Fs *fs, int fd, uint64_t *ret) {
        Op op = { .kind = OP_TYPE, .fd = fd };
        int r;

        assert(fs);
        assert(ret);

        r = (int) op_run(fs, &op);
        if (r < 0)
                return r;
        *ret = op.type;
        return 0;
}
