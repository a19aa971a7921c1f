/* SPDX-License-Identifier: Apache-2.0 */

/* One child of rclone. Its input is a socket in which a byte waits that nobody reads: when this process
 * dies, the kernel ends such a connection with a reset, and rclone reads an error instead of the end of a
 * whole object. Only rclone_child_wait() gives it an end.
 *
 * A child that does not move a byte, by what the kernel counts of its reads and writes, stands still:
 * what rclone does for itself (sending what it collected, summing up what it sent) shows there. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/exec.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "storage/rclone.h"

#define POLL_MSEC 100
#define ARGUMENTS_MAX 32

static int child_arguments(const Rclone *rc, const char *const *arguments, char **argv) {
        const char *const common[] = { "rclone", "--log-level", "ERROR", "--retries", "1", "--contimeout",
                                       "20s", "--timeout", rc->stall, "--ask-password=false",
                                       "--buffer-size", "1M", "--transfers", "1", "--checkers", "2" };
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(common); i++)
                argv[n++] = (char *) common[i];
        for (; *arguments; arguments++) {
                if (n + 1 >= ARGUMENTS_MAX)
                        return -E2BIG;
                argv[n++] = (char *) *arguments;
        }
        argv[n] = NULL;
        return 0;
}

/* The socket, with the byte that makes a reset of our death. */
static int input_make(int *ret_ours, int *ret_theirs) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        *ret_ours = pair[0];
        *ret_theirs = pair[1];
        return send(pair[1], "", 1, MSG_NOSIGNAL) == 1 ? fd_set_nonblock(pair[0], true) : -errno;
}

static int output_make(int *ret_ours, int *ret_theirs) {
        int pair[2];

        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        *ret_ours = pair[0];
        *ret_theirs = pair[1];
        return fd_set_nonblock(pair[0], true);
}

/* What its arguments name on the remote, line by line. */
static int names_take(const char *const *arguments, char **ret) {
        _cleanup_buffer_ Buffer names = BUFFER_NULL;
        int r = 0;

        for (; *arguments && r >= 0; arguments++) {
                const char *path = startswith(*arguments, RCLONE_REMOTE);

                if (path)
                        r = buffer_printf(&names, "%s\n", path);
        }
        if (r >= 0)
                r = buffer_add(&names, "", 1);
        *ret = r < 0 ? NULL : buffer_take(&names);
        return r;
}

static void child_close(RcloneChild *c) {
        c->in = safe_close(c->in);
        c->out = safe_close(c->out);
        c->err = safe_close(c->err);
        c->process = safe_close(c->process);
        c->names = mfree(c->names);
        c->pid = 0;
}

int rclone_child_start(RcloneSession *x, const char *const *arguments, bool feeds, RcloneChild *ret) {
        _cleanup_close_ int in = -EBADF, out = -EBADF, err = -EBADF;
        char *argv[ARGUMENTS_MAX];
        RcloneChild *c = ret;
        int r;

        assert(x);
        assert(c->pid == 0);

        *c = (RcloneChild){ .in = -EBADF, .out = -EBADF, .err = -EBADF, .process = -EBADF };
        c->moved_at = now_usec(CLOCK_MONOTONIC);
        r = child_arguments(x->rclone, arguments, argv);
        if (r >= 0)
                r = names_take(arguments, &c->names);
        if (r >= 0)
                r = output_make(&c->out, &out);
        if (r >= 0)
                r = output_make(&c->err, &err);
        if (r >= 0 && feeds)
                r = input_make(&c->in, &in);
        if (r >= 0 && !feeds) {
                in = open("/dev/null", O_RDONLY | O_CLOEXEC);
                r = in < 0 ? -errno : 0;
        }
        if (r >= 0) {
                r = exec_start(&(ExecArgs){ .path = x->rclone->program,
                                            .argv = argv,
                                            .environment = x->rclone->environment,
                                            .fds = { in, out, err, -1 },
                                            .flags = EXEC_NO_PRIVILEGES | EXEC_NO_CORE },
                               &c->pid);
                if (r < 0)
                        r = remote_session_error(&x->head, -ENOEXEC, "%s cannot be started: %s",
                                                 x->rclone->program, strerror(-r));
        }
        if (r >= 0) {
                c->process = pidfd_open(c->pid, 0);
                r = c->process < 0 ? -errno : 0;
        }
        if (r < 0) {
                rclone_child_kill(c);
                child_close(c);
        }
        return r;
}

void rclone_child_kill(RcloneChild *c) {
        assert(c);

        if (c->pid > 0) {
                (void) kill(-c->pid, SIGKILL);
                (void) kill(c->pid, SIGKILL);
                (void) waitpid(c->pid, NULL, 0);
                child_close(c);
        }
}

/* --- Waiting ------------------------------------------------------------------------------------------- */

static void words_take(RcloneChild *c) {
        char dropped[512];
        ssize_t n;

        do {
                bool fits = c->n_words < sizeof c->words - 1;

                n = fits ? read(c->err, c->words + c->n_words, sizeof c->words - 1 - c->n_words) :
                           read(c->err, dropped, sizeof dropped);
                if (n > 0 && fits)
                        c->n_words += (size_t) n;
        } while (n > 0);
        c->words[c->n_words] = 0;
        if (n == 0)
                c->err = safe_close(c->err);
}

/* Of what the kernel counts: "rchar: 5" and "wchar: 7" are its first lines. */
static uint64_t bytes_moved(pid_t pid) {
        char path[32], text[256] = "";
        _cleanup_close_ int fd = -EBADF;
        uint64_t read_bytes = 0, written = 0;

        (void) snprintf(path, sizeof path, "/proc/%d/io", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read_full(fd, text, sizeof text - 1) <= 0)
                return 0;
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
                const char *number;

                *end = 0;
                if ((number = startswith(line, "rchar: ")))
                        (void) !parse_u64(number, 0, UINT64_MAX, &read_bytes);
                else if ((number = startswith(line, "wchar: ")))
                        (void) !parse_u64(number, 0, UINT64_MAX, &written);
        }
        return read_bytes + written;
}

static void note_moved(RcloneSession *x, RcloneChild *c) {
        c->moved_at = now_usec(CLOCK_MONOTONIC);
        storage_moved(x->head.storage);
}

static int check_limits(RcloneSession *x, RcloneChild *c) {
        const Storage *s = x->head.storage;
        usec_t now = now_usec(CLOCK_MONOTONIC);
        uint64_t moved;

        if (x->head.end > 0)
                return now >= x->head.end ? -ETIMEDOUT : 0;
        if (storage_is_cancelled(s))
                return -ECANCELED;
        moved = bytes_moved(c->pid);
        if (moved != c->moved) {
                c->moved = moved;
                note_moved(x, c);
                return 0;
        }
        return now >= usec_add(c->moved_at, s->stall) ? -ETIMEDOUT : 0;
}

/* Until one of fd (or the end of the child, where fd is negative) is ready. */
static int child_poll(RcloneSession *x, RcloneChild *c, int fd, short events) {
        for (;;) {
                struct pollfd fds[] = { { .fd = fd, .events = events },
                                        { .fd = c->err, .events = POLLIN },
                                        { .fd = fd < 0 ? c->process : -1, .events = POLLIN } };
                int n, r;

                n = poll(fds, ELEMENTSOF(fds), POLL_MSEC);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0 && fds[1].revents)
                        words_take(c);
                if (n > 0 && (fds[0].revents || fds[2].revents))
                        return storage_is_cancelled(x->head.storage) && x->head.end == 0 ? -ECANCELED : 0;
                r = check_limits(x, c);
                if (r < 0)
                        return r;
        }
}

ssize_t rclone_child_write(RcloneSession *x, RcloneChild *c, const void *data, size_t n) {
        assert(c->pid > 0);

        for (;;) {
                ssize_t k;
                int r;

                k = send(c->in, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (k > 0)
                        note_moved(x, c);
                if (k >= 0)
                        return k;
                if (errno == EPIPE || errno == ECONNRESET)
                        return -EPIPE;
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                r = child_poll(x, c, c->in, POLLOUT);
                if (r < 0)
                        return r;
        }
}

ssize_t rclone_child_read(RcloneSession *x, RcloneChild *c, void *buf, size_t n) {
        assert(c->pid > 0);

        for (;;) {
                ssize_t k;
                int r;

                k = read(c->out, buf, n);
                if (k > 0)
                        note_moved(x, c);
                if (k >= 0)
                        return k;
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                r = child_poll(x, c, c->out, POLLIN);
                if (r < 0)
                        return r;
        }
}

/* --- Its end ------------------------------------------------------------------------------------------- */

/* Secrets become stars. */
static void secrets_hide(const Rclone *rc, char *words) {
        STRV_FOREACH(s, rc->secrets) {
                size_t n = strlen(*s);

                for (char *p = words; n > 0 && (p = strstr(p, *s)); p += n)
                        memset(p, '*', n);
        }
}

/* The last line, without the time before it: rclone sums up there. */
static const char *last_line(char *words) {
        size_t n = strlen(words);
        char *line;

        while (n > 0 && words[n - 1] == '\n')
                words[--n] = 0;
        line = strrchr(words, '\n');
        line = line ? line + 1 : words;
        /* "2026/11/23 09:41:03 " */
        if (strlen(line) > 20 && line[4] == '/' && line[13] == ':' && line[19] == ' ')
                line += 20;
        return line;
}

static int child_verdict(RcloneSession *x, RcloneChild *c, int status) {
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, error;

        if (code == 0)
                return 0;
        secrets_hide(x->rclone, c->words);
        error = rclone_error_kind(code, c->words, c->names, x->rclone->environment);
        if (error == -ECONNRESET || error == -EHOSTUNREACH)
                x->head.broken = true;
        if (code < 0)
                return remote_session_error(&x->head, -EIO, "rclone was killed by signal %d",
                                            WTERMSIG(status));
        return remote_session_error(&x->head, error, "rclone says: %s", last_line(c->words));
}

int rclone_child_wait(RcloneSession *x, RcloneChild *c) {
        siginfo_t info = {};
        int r, status = 0;

        assert(c->pid > 0);

        if (c->in >= 0)
                (void) shutdown(c->in, SHUT_WR);
        while (waitid(P_PID, (id_t) c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) {
                r = child_poll(x, c, -1, 0);
                if (r < 0) {
                        rclone_child_kill(c);
                        return r;
                }
        }
        words_take(c);
        (void) waitpid(c->pid, &status, 0);
        r = child_verdict(x, c, status);
        child_close(c);
        return r;
}

int rclone_child_run(RcloneSession *x, const char *const *arguments, Buffer *ret) {
        RcloneChild c = {};
        char buf[16384];
        ssize_t n;
        int r;

        r = rclone_child_start(x, arguments, /* feeds= */ false, &c);
        if (r < 0)
                return remote_session_error(&x->head, r, "%s cannot be started: %s", x->rclone->program,
                                            strerror(-r));
        while ((n = rclone_child_read(x, &c, buf, sizeof buf)) > 0) {
                r = ret ? buffer_add(ret, buf, (size_t) n) : 0;
                if (r < 0) {
                        n = r;
                        break;
                }
        }
        if (n < 0) {
                rclone_child_kill(&c);
                return (int) n;
        }
        return rclone_child_wait(x, &c);
}
