/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/exec.h"
#include "base/fd.h"
#include "base/text.h"
#include "database/child.h"

#define WATCH_MSEC 100
#define PIPE_SIZE (1U << 20)
#define PAUSE_NSEC 500000

struct Child {
        const atomic_bool *cancel;
        pid_t pid; /* 0: reaped, or never started */
        int pidfd, pipe, errors;
        bool takes_input;
        bool trickles; /* the last read found little */
        bool watched;
        pthread_t watcher;
        atomic_bool done;
        int status;
        char *complaints;
        const char *complaint; /* in complaints, or "" */
};

static bool is_cancelled(const Child *c) {
        return c->cancel && atomic_load(c->cancel);
}

static void kill_all(Child *c) {
        if (c->pid > 0) {
                (void) kill(-c->pid, SIGKILL); /* with what it started */
                (void) kill(c->pid, SIGKILL);
        }
}

/* Writing to a tool that waits for its server may block for ever: a cancel ends it from here. */
static void *watch(void *userdata) {
        Child *c = ASSERT_PTR(userdata);
        struct pollfd fd = { .fd = c->pidfd, .events = POLLIN };

        while (!atomic_load(&c->done) && poll(&fd, 1, WATCH_MSEC) <= 0)
                if (is_cancelled(c))
                        kill_all(c);
        return NULL;
}

/* --- Starting ----------------------------------------------------------------------------------------- */

static int make_private(const char *secret, int *ret) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = memfd_create("options", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || fchmod(fd, 0400) < 0)
                return -errno;
        r = write_full(fd, secret, strlen(secret));
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

/* Of a fixed size: what does not fit is not kept, and nobody waits for us to read it. */
static int make_errors(int *ret) {
        _cleanup_close_ int fd = -EBADF;

        fd = memfd_create("errors", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || ftruncate(fd, CHILD_ERRORS_MAX) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

/* What it is given in files without a name. */
static int make_files(const ChildArgs *args, int *ret_errors, int *ret_secret, int *ret_input) {
        int r;

        r = make_errors(ret_errors);
        if (r >= 0 && args->secret)
                r = make_private(args->secret, ret_secret);
        if (r >= 0 && args->input)
                r = make_private(args->input, ret_input);
        return r;
}

static int start(Child *c, const ChildArgs *args) {
        _cleanup_close_ int secret = -EBADF, input = -EBADF, theirs = -EBADF;
        char *environment[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C.UTF-8",
                                NULL, NULL };
        _cleanup_(freep) char *home = NULL;
        int pair[2], r;

        assert(!args->takes_input || (!args->input && !args->one_output));

        r = asprintf_safe(&home, "HOME=%s", args->home ? args->home : "/nonexistent");
        if (r >= 0)
                r = make_files(args, &c->errors, &secret, &input);
        if (r < 0)
                return r;
        environment[ELEMENTSOF(environment) - 2] = home;
        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        /* So that both run side by side, and not in turn for every few pages. */
        (void) fcntl(pair[0], F_SETPIPE_SZ, PIPE_SIZE);
        c->pipe = pair[args->takes_input];
        theirs = pair[!args->takes_input];
        r = exec_start(&(ExecArgs){ .path = args->path,
                                    .argv = args->arguments,
                                    .environment = environment,
                                    .fds = { args->takes_input ? theirs : input,
                                             args->takes_input ? -1 : theirs,
                                             args->one_output ? theirs : c->errors, secret },
                                    .flags = EXEC_NO_PRIVILEGES | EXEC_DIES_WITH_US | EXEC_NO_CORE },
                       &c->pid);
        if (r < 0)
                return r;
        c->pidfd = (int) syscall(SYS_pidfd_open, c->pid, 0);
        if (c->pidfd < 0)
                return -errno;
        r = pthread_create(&c->watcher, NULL, watch, c);
        c->watched = r == 0;
        return -r;
}

int child_new(const ChildArgs *args, Child **ret, Failure *reterr_failure) {
        _cleanup_(child_freep) Child *c = NULL;
        int r;

        assert(args && args->path && args->arguments);
        assert(ret);

        c = new0(Child, 1);
        if (!c)
                return -ENOMEM;
        c->pidfd = c->pipe = c->errors = -EBADF;
        c->cancel = args->cancel;
        c->takes_input = args->takes_input;
        c->complaint = "";
        r = start(c, args);
        if (r < 0)
                return failure_set(reterr_failure, r, "TOOL_FAILED", "%s cannot be started: %s", args->path,
                                   strerror(-r));
        *ret = TAKE_PTR(c);
        return 0;
}

static void stop_watching(Child *c) {
        atomic_store(&c->done, true);
        if (c->watched)
                (void) pthread_join(c->watcher, NULL);
        c->watched = false;
}

Child *child_free(Child *c) {
        if (!c)
                return NULL;
        c->pipe = safe_close(c->pipe);
        stop_watching(c);
        kill_all(c);
        if (c->pid > 0)
                (void) waitpid(c->pid, NULL, 0);
        safe_close(c->pidfd);
        safe_close(c->errors);
        free(c->complaints);
        return mfree(c);
}

/* --- Running ------------------------------------------------------------------------------------------ */

ssize_t child_read(Child *c, void *p, size_t n) {
        ssize_t k;

        assert(c && !c->takes_input);

        /* Programs write a page at a time: to wake up for each of them costs both more than the page. */
        if (c->trickles)
                (void) nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NSEC }, NULL);
        do
                k = read(c->pipe, p, n);
        while (k < 0 && errno == EINTR);
        if (is_cancelled(c))
                return -ECANCELED;
        c->trickles = k > 0 && (size_t) k < MIN(n, (size_t) PIPE_SIZE / 4);
        return k < 0 ? -errno : k;
}

int child_input(const Child *c) {
        assert(c && c->takes_input);

        return c->pipe;
}

void child_end_input(Child *c) {
        assert(c);

        c->pipe = safe_close(c->pipe);
}

/* --- The end ------------------------------------------------------------------------------------------ */

/* The last line that speaks of an error, or else the last one. */
static char *find_complaint(char *text) {
        char *found = text, *next;
        bool is_error = false;

        for (char *line = text; line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = 0;
                if (strcasestr(line, "error") || !is_error) {
                        found = line;
                        is_error = strcasestr(line, "error");
                }
        }
        return found;
}

static int read_complaints(Child *c) {
        char *end, *line;

        c->complaints = new0(char, CHILD_ERRORS_MAX + 1);
        if (!c->complaints)
                return -ENOMEM;
        if (pread_full(c->errors, c->complaints, CHILD_ERRORS_MAX, 0) < 0)
                c->complaints[0] = 0;
        end = c->complaints + strlen(c->complaints);
        while (end > c->complaints && strchr(" \r\n\t", end[-1]))
                *--end = 0;
        line = find_complaint(c->complaints);
        if (strlen(line) > CHILD_COMPLAINT_MAX)
                line[CHILD_COMPLAINT_MAX] = 0;
        c->complaint = line;
        return 0;
}

int child_wait(Child *c) {
        int status, r;

        assert(c);

        c->pipe = safe_close(c->pipe);
        if (c->pid > 0) {
                siginfo_t info;

                /* Its number is ours until the watcher has ended. */
                while (waitid(P_PID, (id_t) c->pid, &info, WEXITED | WNOWAIT) < 0)
                        if (errno != EINTR)
                                return -errno;
                stop_watching(c);
                if (waitpid(c->pid, &status, 0) < 0)
                        return -errno;
                c->pid = 0;
                c->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
                r = read_complaints(c);
                if (r < 0)
                        return r;
        }
        return is_cancelled(c) ? -ECANCELED : c->status;
}

const char *child_complaint(const Child *c, const char *silence) {
        return isempty(c->complaint) ? silence : c->complaint;
}

int child_capture(const ChildArgs *args, char *ret, size_t size, Failure *reterr_failure) {
        _cleanup_(child_freep) Child *child = NULL;
        char rest[256];
        size_t n = 0;
        ssize_t k;
        int r;

        assert(ret);
        assert(size > 0);

        r = child_new(args, &child, reterr_failure);
        if (r < 0)
                return r;
        do {
                bool full = n + 1 == size;

                k = child_read(child, full ? rest : ret + n, full ? sizeof rest : size - 1 - n);
                if (k > 0 && !full)
                        n += (size_t) k;
        } while (k > 0);
        ret[n] = 0;
        return k < 0 ? (int) k : child_wait(child);
}
