/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/random.h"
#include "database/staging.h"

#define PREFIX "job-"
#define RANDOM_SIZE 8
/* So many others would have to sweep in just that moment. */
#define TRIES 100U
#define NAME_SIZE (STRLEN(PREFIX) + 2 * RANDOM_SIZE + 1)

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

/* Calls func for each name but "." and "..". What cannot be read is not there. */
static void each_name(int fd, void (*func)(int fd, const char *name)) {
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        int copy;

        assert(func);

        copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = copy >= 0 ? fdopendir(copy) : NULL;
        if (!dir) {
                safe_close(copy);
                return;
        }
        while ((entry = readdir(dir)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        func(fd, entry->d_name);
}

static void remove_file(int fd, const char *name) {
        (void) unlinkat(fd, name, 0);
}

/* Removes what is left of a job that is gone: nobody has the lock. */
static void sweep_one(int parent, const char *name) {
        _cleanup_close_ int fd = -EBADF;

        if (!startswith(name, PREFIX))
                return;
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                return;
        each_name(fd, remove_file);
        (void) unlinkat(parent, name, AT_REMOVEDIR);
}

static int make(int parent, char name[static NAME_SIZE], int *ret) {
        _cleanup_close_ int fd = -EBADF;
        uint8_t random[RANDOM_SIZE];
        struct stat st;
        int r;

        assert(ret);

        r = random_bytes(random, sizeof(random));
        if (r < 0)
                return r;
        (void) hex_encode(random, sizeof(random), stpcpy(name, PREFIX));
        if (mkdirat(parent, name, 0700) < 0)
                return -errno;
        /* Another job may sweep it before it is locked. */
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -EAGAIN : -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EAGAIN : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_nlink == 0)
                return -EAGAIN;
        *ret = TAKE_FD(fd);
        return 0;
}

static int make_one(int parent, char name[static NAME_SIZE], int *ret) {
        int r = -EAGAIN;

        for (unsigned i = 0; i < TRIES && r == -EAGAIN; i++)
                r = make(parent, name, ret);
        return r;
}

int staging_open(const char *parent, uint64_t max, Staging *ret, Failure *reterr_failure) {
        _cleanup_(staging_done) Staging s = STAGING_NULL;
        char name[NAME_SIZE];
        int r;

        assert(parent);
        assert(ret);

        s.max = max;
        r = mkdir_p(parent, 0700);
        if (r >= 0) {
                s.parent = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                r = s.parent < 0 ? -errno : 0;
        }
        if (r >= 0)
                each_name(s.parent, sweep_one);
        if (r >= 0)
                r = make_one(s.parent, name, &s.fd);
        if (r >= 0)
                r = asprintf_safe(&s.path, "%s/%s", parent, name);
        if (r < 0)
                return failure_set(reterr_failure, r, "STAGING_FAILED",
                                   "There is no place for a temporary copy: %s cannot be used: %s", parent,
                                   strerror(-r));
        *ret = s;
        s = STAGING_NULL;
        return 0;
}

int staging_has_room(const Staging *s, uint64_t n, const char *what, Failure *reterr_failure) {
        struct statvfs st;
        uint64_t available;

        assert(s);
        assert(what);

        if (fstatvfs(s->fd, &st) < 0)
                return failure_set(reterr_failure, -errno, "STAGING_FAILED", "%s: %m", s->path);
        if (s->max > 0 && n > s->max)
                return failure_set(reterr_failure, -ENOSPC, "STAGING_FULL",
                                   "The copy of %s needs %" PRIu64 " bytes, and %" PRIu64
                                   " may be staged in %s",
                                   what, n, s->max, s->path);
        available = (uint64_t) st.f_bavail * st.f_frsize;
        if (available < STAGING_RESERVE || n > available - STAGING_RESERVE)
                return failure_set(reterr_failure, -ENOSPC, "STAGING_FULL",
                                   "The copy of %s needs %" PRIu64 " bytes in %s, where %" PRIu64
                                   " are free, and some have to stay so",
                                   what, n, s->path, available);
        return 0;
}

void staging_clear(Staging *s) {
        assert(s);

        each_name(s->fd, remove_file);
}

void staging_done(Staging *s) {
        if (!s)
                return;
        if (s->fd >= 0)
                staging_clear(s);
        if (s->path)
                (void) unlinkat(s->parent, strrchr(s->path, '/') + 1, AT_REMOVEDIR);
        s->fd = safe_close(s->fd);
        s->parent = safe_close(s->parent);
        free(s->path);
        *s = STAGING_NULL;
}
