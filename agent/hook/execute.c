/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/hook/execute.h"
#include "base/alloc.h"
#include "base/exec.h"
#include "base/fd.h"
#include "base/text.h"

typedef enum Ending {
        ENDING_NONE,
        ENDING_LIMIT,
        ENDING_STOPPED,
} Ending;

typedef struct Running {
        const HookOrder *order;
        pid_t pid;
        int pidfd;
        int output;
        usec_t begun;
        usec_t until; /* what comes next happens then */
        Ending ending;
        bool killed; /* by SIGKILL already */
        char line[HOOK_LINE_MAX];
        size_t n; /* of the line */
        size_t n_bytes;
        unsigned n_lines;
} Running;

/* --- The file ----------------------------------------------------------------------------------------- */

/* Of root, or of who runs this where that is somebody else: they could do all that a hook can. */
static bool is_trusted(const struct stat *st) {
        return (st->st_uid == 0 || st->st_uid == geteuid()) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int hook_check(const char *folder, const char *name, char **ret, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        struct stat st;
        int r;

        assert(folder);
        assert(name);
        assert(ret);

        r = asprintf_safe(&path, "%s/%s", folder, name);
        if (r < 0)
                return r;
        if (lstat(folder, &st) < 0)
                return failure_set(reterr_failure, -errno, "HOOK_NOT_FOUND",
                                   "The hook %s cannot be found: %s: %m", name, folder);
        if (!S_ISDIR(st.st_mode) || !is_trusted(&st))
                return failure_set(reterr_failure, -EPERM, "HOOK_REFUSED",
                                   "The hook %s is refused: %s has to be a directory that belongs to root "
                                   "and that nobody else may write to",
                                   name, folder);
        if (lstat(path, &st) < 0)
                return failure_set(reterr_failure, -errno, "HOOK_NOT_FOUND",
                                   "The hook %s cannot be found: %s: %m", name, path);
        if (!S_ISREG(st.st_mode) || !is_trusted(&st))
                return failure_set(reterr_failure, -EPERM, "HOOK_REFUSED",
                                   "The hook %s is refused: %s has to be a regular file that belongs to "
                                   "root and that nobody else may write to",
                                   name, path);
        if ((st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0)
                return failure_set(reterr_failure, -EACCES, "HOOK_REFUSED",
                                   "The hook %s is refused: %s is not executable (chmod 755)", name, path);
        *ret = TAKE_PTR(path);
        return 0;
}

/* --- Output ------------------------------------------------------------------------------------------- */

static void end_line(Running *u) {
        if (u->n > 0 && u->n_lines < HOOK_OUTPUT_LINES) {
                u->line[u->n] = 0;
                u->order->on_line(u->order->userdata, u->line);
                if (++u->n_lines == HOOK_OUTPUT_LINES)
                        u->order->on_line(u->order->userdata, "(there is more, which is not kept)");
        }
        u->n = 0;
}

static void take_bytes(Running *u, const char *p, size_t n) {
        for (size_t i = 0; i < n; i++) {
                u->n_bytes++;
                if (p[i] == '\n') {
                        end_line(u);
                        continue;
                }
                if (u->n_bytes > HOOK_OUTPUT_BYTES && u->n_lines < HOOK_OUTPUT_LINES)
                        u->n_lines = HOOK_OUTPUT_LINES - 1; /* this line is the last */
                if (u->n + 1 < sizeof(u->line))
                        u->line[u->n++] = (unsigned char) p[i] < ' ' || p[i] == 0x7f ? ' ' : p[i];
        }
}

/* Whether there may be more to come. */
static bool read_output(Running *u) {
        char bytes[4096];
        ssize_t n;

        n = read(u->output, bytes, sizeof(bytes));
        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        take_bytes(u, bytes, (size_t) n);
        return n > 0;
}

/* What it wrote before it ended. What it left running may hold the pipe and write on: not for us. */
static void drain(Running *u) {
        for (size_t before = SIZE_MAX; u->output >= 0 && u->n_bytes != before;) {
                before = u->n_bytes;
                if (u->n_lines >= HOOK_OUTPUT_LINES || !read_output(u))
                        break;
        }
        end_line(u);
}

/* --- The process ------------------------------------------------------------------------------------ */

static int start(const HookOrder *o, Running *u) {
        char *const argv[] = { (char *) o->name, NULL };
        _cleanup_close_ int output = -EBADF;
        int pair[2], error, r;

        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        u->output = pair[0];
        output = pair[1];
        r = fd_set_nonblock(u->output, true);
        if (r >= 0)
                /* When its keeper dies another one runs it again. */
                r = exec_start(&(ExecArgs){ .path = o->path,
                                            .argv = argv,
                                            .environment = o->environment,
                                            .fds = { -1, output, output, -1 },
                                            .flags = EXEC_DIES_WITH_US | EXEC_AT_ROOT },
                               &u->pid);
        if (r < 0)
                return r;
        u->pidfd = pidfd_open(u->pid, 0);
        if (u->pidfd < 0) { /* no descriptor for it */
                error = errno;
                (void) kill(-u->pid, SIGKILL);
                (void) waitpid(u->pid, NULL, 0);
                return -error;
        }
        return 0;
}

/* SIGTERM first, SIGKILL next, to all of its group. */
static void end_group(Running *u, usec_t now) {
        assert(u);

        (void) kill(-u->pid, u->killed ? SIGKILL : SIGTERM);
        u->until = usec_add(now, HOOK_GRACE);
}

/* One turn. 1: it ended; 0: go on; -ETIMEDOUT: no signal ends it. */
static int turn(Running *u) {
        struct pollfd fds[] = {
                { .fd = u->pidfd, .events = POLLIN },
                { .fd = u->output, .events = POLLIN },
                { .fd = u->order->watched[0], .events = POLLIN },
                { .fd = u->order->watched[1], .events = POLLIN },
        };
        usec_t now = now_usec(CLOCK_MONOTONIC);
        usec_t left = usec_sub(u->until, now);

        if (poll(fds, ELEMENTSOF(fds), (int) (left / USEC_PER_MSEC) + 1) < 0)
                return errno == EINTR ? 0 : -errno;
        if (fds[0].revents)
                return 1;
        if (fds[1].revents && !read_output(u))
                u->output = safe_close(u->output);
        if ((fds[2].revents || fds[3].revents) && u->order->stop(u->order->userdata) &&
            u->ending == ENDING_NONE) {
                u->ending = ENDING_STOPPED;
                end_group(u, now_usec(CLOCK_MONOTONIC));
                return 0;
        }
        now = now_usec(CLOCK_MONOTONIC);
        if (now < u->until)
                return 0;
        if (u->ending == ENDING_NONE)
                u->ending = ENDING_LIMIT;
        else if (u->killed)
                return -ETIMEDOUT;
        else
                u->killed = true;
        end_group(u, now);
        return 0;
}

/* Why it did not end well. */
static int tell(const Running *u, int status, Failure *reterr_failure) {
        const char *name = u->order->name;

        assert(name);

        if (u->ending == ENDING_LIMIT)
                return failure_set(reterr_failure, -ETIMEDOUT, "HOOK_FAILED",
                                   "The hook %s did not end within %u s and was killed", name,
                                   (unsigned) (u->order->limit / USEC_PER_SEC));
        if (u->ending == ENDING_STOPPED)
                return failure_set(reterr_failure, -ECANCELED, "HOOK_FAILED",
                                   "The hook %s was ended, because the run was", name);
        if (WIFSIGNALED(status))
                return failure_set(reterr_failure, -EIO, "HOOK_FAILED", "The hook %s was ended by signal %d",
                                   name, WTERMSIG(status));
        if (WEXITSTATUS(status) != 0)
                return failure_set(reterr_failure, -EIO, "HOOK_FAILED", "The hook %s ended with status %d",
                                   name, WEXITSTATUS(status));
        return 0;
}

static int follow(Running *u, Failure *reterr_failure) {
        int r, status = 0;

        do
                r = turn(u);
        while (r == 0);
        if (r < 0) {
                (void) kill(-u->pid, SIGKILL);
                return failure_set(reterr_failure, r, "HOOK_FAILED",
                                   "The hook %s does not end, whatever is done: %m", u->order->name);
        }
        while (waitpid(u->pid, &status, 0) < 0)
                if (errno != EINTR)
                        return failure_set(reterr_failure, -errno, "HOOK_FAILED",
                                           "The end of the hook %s cannot be learned: %m", u->order->name);
        if (u->ending != ENDING_NONE)
                (void) kill(-u->pid, SIGKILL); /* what it started, and what did not end with it */
        drain(u);
        return tell(u, status, reterr_failure);
}

int hook_execute(const HookOrder *o, usec_t *ret_took, Failure *reterr_failure) {
        _cleanup_(freep) Running *u = NULL;
        int r;

        assert(o);
        assert(ret_took);

        *ret_took = 0;
        u = new0(Running, 1);
        if (!u)
                return -ENOMEM;
        u->order = o;
        u->output = u->pidfd = -EBADF;
        u->begun = now_usec(CLOCK_MONOTONIC);
        u->until = usec_add(u->begun, o->limit);
        r = start(o, u);
        if (r < 0)
                r = failure_set(reterr_failure, r, "HOOK_FAILED", "The hook %s cannot be started: %m",
                                o->name);
        else
                r = follow(u, reterr_failure);
        *ret_took = usec_sub(now_usec(CLOCK_MONOTONIC), u->begun);
        safe_close(u->output);
        safe_close(u->pidfd);
        return r;
}
