/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "database/sqlite-file.h"

#define MAGIC "SQLite format 3" /* and its final zero */
/* Of the file format, as www.sqlite.org/fileformat.html has it. */
#define AT_READ_VERSION 19U
#define VERSION_WAL 2U
/* The bytes that the library locks: pending, reserved, and 510 for readers. Whoever has a database with a
 * write-ahead log open keeps one of the last. */
#define LOCK_FIRST INT64_C(0x40000000)
#define LOCK_COUNT 512
/* File systems count times in steps: what was changed within this time may change
 * again and look the same. */
#define RACY (3 * USEC_PER_SEC)
#define COPY_SIZE (1U << 20)

bool sqlite_head_parse(const uint8_t *p, size_t n, bool *ret_wal) {
        assert(p || n == 0);
        assert(ret_wal);

        if (n < SQLITE_FILE_HEAD || memcmp(p, MAGIC, sizeof(MAGIC)) != 0)
                return false;
        *ret_wal = p[AT_READ_VERSION] == VERSION_WAL;
        return true;
}

int sqlite_is_locked(int fd) {
        struct flock lock = {
                .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_FIRST, .l_len = LOCK_COUNT
        };

        if (fcntl(fd, F_GETLK, &lock) < 0)
                return -errno;
        return lock.l_type != F_UNLCK;
}

/* --- Looking ------------------------------------------------------------------------------------------ */

/* 0 and zeros where there is no such file. */
static int stat_beside(const char *path, const char *suffix, struct stat *ret) {
        _cleanup_(freep) char *beside = NULL;
        int r;

        assert(ret);

        r = asprintf_safe(&beside, "%s%s", path, suffix);
        if (r < 0)
                return r;
        *ret = (struct stat){};
        return stat(beside, ret) < 0 && errno != ENOENT ? -errno : 0;
}

static int look(const char *path, SqliteFile *ret) {
        _cleanup_close_ int fd = -EBADF;
        uint8_t head[SQLITE_FILE_HEAD];
        struct stat st, wal, journal;
        ssize_t n;
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADMSG;
        n = pread_full(fd, head, sizeof(head), 0);
        if (n < 0)
                return (int) n;
        *ret = (SqliteFile){ .size = (uint64_t) st.st_size };
        if (n == 0)
                return 0;
        if (!sqlite_head_parse(head, (size_t) n, &ret->wal))
                return -EBADMSG;
        r = stat_beside(path, SQLITE_SUFFIX_WAL, &wal);
        if (r >= 0)
                r = stat_beside(path, SQLITE_SUFFIX_JOURNAL, &journal);
        if (r >= 0)
                r = sqlite_is_locked(fd);
        if (r < 0)
                return r;
        ret->size += (uint64_t) wal.st_size + (uint64_t) journal.st_size;
        ret->state = r == 0 && (ret->wal || journal.st_size > 0) ? SQLITE_FILE_AT_REST : SQLITE_FILE_ACTIVE;
        return 0;
}

int sqlite_look(const char *path, SqliteFile *ret, Failure *reterr_failure) {
        int r;

        assert(path);
        assert(ret);

        r = look(path, ret);
        if (r == -EBADMSG)
                return failure_set(reterr_failure, r, "SQLITE_FOREIGN",
                                   "%s is no database of SQLite, or it is encrypted", path);
        if (r < 0)
                return failure_set(reterr_failure, r, "SQLITE_UNREADABLE", "%s cannot be read: %s", path,
                                   strerror(-r));
        return 0;
}

/* --- At rest ------------------------------------------------------------------------------------------ */

/* One file of the database, before and after. */
typedef struct Part {
        const char *suffix;
        int fd; /* negative: it is not there */
        struct stat st;
} Part;

typedef struct Parts {
        Part part[3];
} Parts;

#define PARTS_NULL \
        ((Parts){ .part = { { "", -EBADF, {} }, \
                            { SQLITE_SUFFIX_WAL, -EBADF, {} }, \
                            { SQLITE_SUFFIX_JOURNAL, -EBADF, {} } } })

static void parts_done(Parts *p) {
        for (size_t i = 0; i < ELEMENTSOF(p->part); i++)
                p->part[i].fd = safe_close(p->part[i].fd);
}

static int parts_open(const char *path, Parts *p) {
        for (size_t i = 0; i < ELEMENTSOF(p->part); i++) {
                _cleanup_(freep) char *name = NULL;
                Part *part = p->part + i;
                int r;

                r = asprintf_safe(&name, "%s%s", path, part->suffix);
                if (r < 0)
                        return r;
                part->fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
                if (part->fd < 0 && (errno != ENOENT || i == 0))
                        return -errno;
                if (part->fd >= 0 && fstat(part->fd, &part->st) < 0)
                        return -errno;
        }
        return 0;
}

/* One in the future changes with any change. */
static bool is_racy(const struct timespec *t, usec_t now) {
        usec_t at = (usec_t) t->tv_sec * USEC_PER_SEC;

        return at > usec_sub(now, RACY) && at < usec_add(now, RACY);
}

/* Whether a change would show in the times. */
static bool parts_are_old(const Parts *p) {
        usec_t now = now_usec(CLOCK_REALTIME);

        for (size_t i = 0; i < ELEMENTSOF(p->part); i++)
                if (p->part[i].fd >= 0 &&
                    (is_racy(&p->part[i].st.st_mtim, now) || is_racy(&p->part[i].st.st_ctim, now)))
                        return false;
        return true;
}

static bool same_moment(const struct timespec *a, const struct timespec *b) {
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Whether the names still lead to what was opened, and nothing was written to it. */
static int parts_are_same(const char *path, const Parts *p) {
        for (size_t i = 0; i < ELEMENTSOF(p->part); i++) {
                const struct stat *before = &p->part[i].st;
                struct stat now;
                int r;

                r = stat_beside(path, p->part[i].suffix, &now);
                if (r < 0)
                        return r;
                if (now.st_dev != before->st_dev || now.st_ino != before->st_ino ||
                    now.st_size != before->st_size || !same_moment(&now.st_mtim, &before->st_mtim) ||
                    !same_moment(&now.st_ctim, &before->st_ctim))
                        return 0;
        }
        return 1;
}

static int copy_part(const Part *part, int to, const atomic_bool *cancel) {
        for (off_t at = 0; at < part->st.st_size;) {
                ssize_t n;

                if (cancel && atomic_load(cancel))
                        return -ECANCELED;
                n = copy_file_range(part->fd, &at, to, NULL, COPY_SIZE, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && at == 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP))
                        return 1;
                if (n <= 0)
                        return n < 0 ? -errno : -ESTALE;
        }
        return 0;
}

/* Where the kernel cannot do it alone. */
static int copy_by_hand(const Part *part, int to, const atomic_bool *cancel) {
        _cleanup_(freep) uint8_t *buf = malloc(COPY_SIZE);

        if (!buf)
                return -ENOMEM;
        for (off_t at = 0; at < part->st.st_size;) {
                ssize_t n;
                int r;

                if (cancel && atomic_load(cancel))
                        return -ECANCELED;
                n = pread_full(part->fd, buf, COPY_SIZE, at);
                if (n <= 0)
                        return n < 0 ? (int) n : -ESTALE;
                r = write_full(to, buf, (size_t) n);
                if (r < 0)
                        return r;
                at += n;
        }
        return 0;
}

static int parts_copy(const Parts *p, const Staging *staging, const char *name, const atomic_bool *cancel) {
        for (size_t i = 0; i < ELEMENTSOF(p->part); i++) {
                _cleanup_close_ int to = -EBADF;
                _cleanup_(freep) char *beside = NULL;
                int r;

                if (p->part[i].fd < 0)
                        continue;
                r = asprintf_safe(&beside, "%s%s", name, p->part[i].suffix);
                if (r < 0)
                        return r;
                to = openat(staging->fd, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                            0600);
                if (to < 0)
                        return -errno;
                r = copy_part(p->part + i, to, cancel);
                if (r > 0)
                        r = copy_by_hand(p->part + i, to, cancel);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int copy_at_rest(const char *path, const Staging *staging, const char *name,
                        const atomic_bool *cancel) {
        _cleanup_(parts_done) Parts p = PARTS_NULL;
        int r;

        r = parts_open(path, &p);
        if (r >= 0)
                r = sqlite_is_locked(p.part[0].fd);
        if (r < 0)
                return r;
        if (r > 0 || !parts_are_old(&p))
                return SQLITE_E_NOT_NOW;
        r = parts_copy(&p, staging, name, cancel);
        if (r == -ESTALE)
                return SQLITE_E_NOT_NOW;
        if (r < 0)
                return r;
        r = sqlite_is_locked(p.part[0].fd);
        if (r != 0)
                return r < 0 ? r : SQLITE_E_NOT_NOW;
        r = parts_are_same(path, &p);
        return r < 0 ? r : r > 0 ? 0 :
                                   SQLITE_E_NOT_NOW;
}

int sqlite_copy_at_rest(const char *path, const Staging *staging, const char *name,
                        const atomic_bool *cancel, Failure *reterr_failure) {
        int r;

        assert(path);
        assert(staging);
        assert(name);

        r = copy_at_rest(path, staging, name, cancel);
        if (r < 0 && r != -ECANCELED && r != -ENOMEM)
                return failure_set(reterr_failure, r,
                                   r == -ENOSPC ? "STAGING_FULL" : "SQLITE_UNREADABLE",
                                   "%s cannot be copied to %s: %s", path, staging->path, strerror(-r));
        return r;
}
