/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exec.h"
#include "base/fd.h"

/* Where the child says that it failed; it closes without a word when the program is in place. */
#define STATUS_FD EXEC_FDS_MAX

/* --- The child: from fork() to execve() nothing allocates or takes a lock -----------------------------  */

static void drop(ExecFlags flags) {
        static const struct rlimit nothing = {};

        if (flags & EXEC_NO_PRIVILEGES) {
                (void) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
                (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        }
        if (flags & EXEC_DIES_WITH_US)
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (flags & EXEC_WRITES_NO_FILES)
                (void) setrlimit(RLIMIT_FSIZE, &nothing);
        if (flags & EXEC_NO_CORE)
                (void) setrlimit(RLIMIT_CORE, &nothing);
        if (flags & EXEC_AT_ROOT)
                (void) umask(0022);
}

/* Puts each where it belongs, and closes the rest. First all go out of the way of those places. */
static int arrange(const ExecArgs *a, int *status) {
        int fds[EXEC_FDS_MAX], null;

        *status = fcntl(*status, F_DUPFD_CLOEXEC, STATUS_FD + 1);
        null = *status < 0 ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0)
                return -errno;
        for (int i = 0; i < EXEC_FDS_MAX; i++) {
                int from = a->fds[i] >= 0 || i > STDERR_FILENO ? a->fds[i] : null;

                fds[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, STATUS_FD + 1);
                if (from >= 0 && fds[i] < 0)
                        return -errno;
        }
        for (int i = 0; i < EXEC_FDS_MAX; i++) {
                (void) close(i);
                if (fds[i] >= 0 && dup2(fds[i], i) < 0)
                        return -errno;
        }
        if (dup3(*status, STATUS_FD, O_CLOEXEC) < 0)
                return -errno;
        *status = STATUS_FD;
        return close_range(STATUS_FD + 1, ~0U, 0) < 0 ? -errno : 0;
}

_noreturn_ static void child(const ExecArgs *a, int status) {
        sigset_t none;
        pid_t pid = 0;
        int r;

        (void) setsid();
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) signal(SIGPIPE, SIG_DFL);
        drop(a->flags);
        r = arrange(a, &status);
        if (r >= 0 && (a->flags & EXEC_AT_ROOT) && chdir("/") < 0)
                r = -errno;
        if (r >= 0 && (a->flags & EXEC_DETACHED)) {
                pid = fork();
                if (pid > 0)
                        _exit(0);
                r = pid < 0 ? -errno : 0;
        }
        if (r >= 0) {
                (void) execve(a->path, a->argv, a->environment);
                r = -errno;
        }
        (void) !write(status, &r, sizeof r);
        _exit(127);
}

/* --- Here ---------------------------------------------------------------------------------------------  */

static int wait_for(pid_t pid) {
        while (waitpid(pid, NULL, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

int exec_start(const ExecArgs *args, pid_t *ret_pid) {
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        int pair[2], error = 0, r = 0;
        bool detached, failed;
        pid_t pid;

        assert(args && args->path && args->argv && args->environment);
        detached = args->flags & EXEC_DETACHED;
        assert(ret_pid || detached);

        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                child(args, theirs);
        theirs = safe_close(theirs);
        failed = read_full(ours, &error, sizeof error) == (ssize_t) sizeof error;
        if (failed || detached)
                r = wait_for(pid);
        if (failed)
                return error;
        if (r >= 0 && ret_pid)
                *ret_pid = detached ? 0 : pid;
        return r;
}
