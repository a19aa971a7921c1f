/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backint/pipe.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/random.h"

/* What anyone may ask for; fewer, larger reads. */
#define PIPE_SIZE (1 << 20)
/* A pipe that has no reader yet can only be asked again. */
#define READER_PAUSE (20 * USEC_PER_MSEC)
#define FILE_MODE 0600

void backint_end_done(BackintEnd *e) {
        assert(e);

        e->fd = safe_close(e->fd);
        if (e->temporary)
                (void) unlink(e->temporary);
        e->temporary = mfree(e->temporary);
}

static int fail(const BackintEnd *e, int error, const char *what, Failure *reterr_failure) {
        return failure_set(reterr_failure, error, "BACKINT_PIPE", "%s %s: %m", e->path, what);
}

static int canceled(const BackintEnd *e, Failure *reterr_failure) {
        return failure_set(reterr_failure, -ECANCELED, "CANCELLED", "%s was given up: the call was ended",
                           e->path);
}

/* Until events come, the time is over (gives 0), or the call is to end. */
static int wait_for(const BackintEnd *e, int fd, short events, usec_t timeout) {
        usec_t until = usec_add(now_usec(CLOCK_MONOTONIC), timeout);

        for (;;) {
                struct pollfd fds[] = { { .fd = e->stop_fd, .events = POLLIN },
                                        { .fd = fd, .events = events } };
                usec_t left = usec_sub(until, now_usec(CLOCK_MONOTONIC));
                struct timespec t = { .tv_sec = (time_t) (left / USEC_PER_SEC),
                                      .tv_nsec = (long) (left % USEC_PER_SEC * 1000) };
                int k;

                k = ppoll(fds, ELEMENTSOF(fds), timeout == USEC_INFINITY ? NULL : &t, NULL);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (fds[0].revents != 0)
                        return -ECANCELED;
                return k > 0;
        }
}

/* --- Reading ---------------------------------------------------------------------------------------- */

int backint_end_open_source(BackintEnd *e, const char *path, bool want_pipe, Failure *reterr_failure) {
        struct stat st;

        assert(e);
        assert(path);

        e->path = path;
        /* Without waiting: that is done where it can be ended. */
        e->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (e->fd < 0)
                return fail(e, -errno, "cannot be opened", reterr_failure);
        if (fstat(e->fd, &st) < 0)
                return fail(e, -errno, "cannot be looked at", reterr_failure);
        e->is_pipe = S_ISFIFO(st.st_mode);
        if (!e->is_pipe && (want_pipe || !S_ISREG(st.st_mode)))
                return failure_set(reterr_failure, -EINVAL, "BACKINT_PIPE", "%s is not a %s", path,
                                   want_pipe ? "named pipe" : "file");
        if (e->is_pipe)
                (void) fcntl(e->fd, F_SETPIPE_SZ, PIPE_SIZE);
        return 0;
}

ssize_t backint_end_read(BackintEnd *e, void *buf, size_t n, Failure *reterr_failure) {
        assert(e);
        assert(buf);

        for (;;) {
                ssize_t k;
                int r;

                r = wait_for(e, e->fd, POLLIN, e->started ? USEC_INFINITY : e->timeout);
                if (r == -ECANCELED)
                        return canceled(e, reterr_failure);
                if (r == 0)
                        return failure_set(reterr_failure, -ETIMEDOUT, "BACKINT_PIPE",
                                           "Nobody wrote to %s for %" PRIu64 " s", e->path,
                                           e->timeout / USEC_PER_SEC);
                e->started = true;
                if (r > 0) {
                        k = read(e->fd, buf, n);
                        if (k >= 0)
                                return k;
                        r = -errno;
                }
                if (r != -EAGAIN && r != -EINTR)
                        return fail(e, r, "cannot be read", reterr_failure);
        }
}

/* --- Writing ---------------------------------------------------------------------------------------- */

static int open_reader(BackintEnd *e, Failure *reterr_failure) {
        usec_t until = usec_add(now_usec(CLOCK_MONOTONIC), e->timeout);

        do {
                e->fd = open(e->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
                if (e->fd >= 0) {
                        (void) fcntl(e->fd, F_SETPIPE_SZ, PIPE_SIZE);
                        return 0;
                }
                if (errno != ENXIO && errno != EINTR)
                        return fail(e, -errno, "cannot be opened", reterr_failure);
                if (wait_for(e, -1, 0, READER_PAUSE) == -ECANCELED)
                        return canceled(e, reterr_failure);
        } while (now_usec(CLOCK_MONOTONIC) < until);
        return failure_set(reterr_failure, -ETIMEDOUT, "BACKINT_PIPE",
                           "Nobody read from %s for %" PRIu64 " s", e->path, e->timeout / USEC_PER_SEC);
}

static int open_file(BackintEnd *e, Failure *reterr_failure) {
        uint32_t number = random_u32();
        int r;

        r = asprintf_safe(&e->temporary, "%s.%08" PRIx32 ".part", e->path, number);
        if (r < 0)
                return r;
        e->fd = open(e->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
        if (e->fd < 0) {
                r = -errno;
                e->temporary = mfree(e->temporary);
                return fail(e, r, "cannot be made", reterr_failure);
        }
        return 0;
}

int backint_end_open_destination(BackintEnd *e, const char *path, bool expect_pipe,
                                 Failure *reterr_failure) {
        struct stat st = {};

        assert(e);
        assert(path);

        e->path = path;
        if (stat(path, &st) < 0 && errno != ENOENT)
                return fail(e, -errno, "cannot be looked at", reterr_failure);
        e->is_pipe = S_ISFIFO(st.st_mode);
        if (e->is_pipe)
                return open_reader(e, reterr_failure);
        if (st.st_mode == 0 && expect_pipe)
                return failure_set(reterr_failure, -ENOENT, "BACKINT_PIPE",
                                   "There is no pipe %s to restore to", path);
        if (st.st_mode != 0 && !S_ISREG(st.st_mode))
                return failure_set(reterr_failure, -EINVAL, "BACKINT_PIPE",
                                   "%s is neither a named pipe nor a file", path);
        return open_file(e, reterr_failure);
}

int backint_end_write(BackintEnd *e, const void *p, size_t n, Failure *reterr_failure) {
        const char *from = p;

        assert(e);
        assert(p || n == 0);

        while (n > 0) {
                ssize_t k;
                int r;

                r = wait_for(e, e->fd, POLLOUT, USEC_INFINITY);
                if (r == -ECANCELED)
                        return canceled(e, reterr_failure);
                k = write(e->fd, from, n);
                if (k < 0 && (errno == EAGAIN || errno == EINTR))
                        continue;
                if (k < 0 && errno == EPIPE)
                        return failure_set(reterr_failure, -EPIPE, "BACKINT_PIPE",
                                           "Whoever read from %s has closed it", e->path);
                if (k < 0)
                        return fail(e, -errno, "cannot be written", reterr_failure);
                from += k;
                n -= (size_t) k;
        }
        return 0;
}

int backint_end_commit(BackintEnd *e, Failure *reterr_failure) {
        int r;

        assert(e);

        if (!e->temporary)
                return 0;
        if (fdatasync(e->fd) < 0 || rename(e->temporary, e->path) < 0)
                return fail(e, -errno, "cannot be finished", reterr_failure);
        e->temporary = mfree(e->temporary);
        r = fsync_parent(AT_FDCWD, e->path);
        return r < 0 ? fail(e, r, "cannot be finished", reterr_failure) : 0;
}
