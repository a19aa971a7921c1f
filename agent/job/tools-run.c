/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/common/tools.h"
#include "agent/job/tools-run.h"
#include "base/alloc.h"
#include "base/exec.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/times.h"

/* Of all together; a wrapper in an interpreter on a busy machine is slow. */
#define ASK_TIMEOUT (5 * USEC_PER_SEC)
#define OUTPUT_MAX 4096
#define POLL_MSEC 100

typedef struct Asked {
        const Tool *tool;
        char *path;
        pid_t pid; /* 0: not running */
        int fd;    /* its output */
        char output[OUTPUT_MAX];
        size_t n;
} Asked;

typedef struct Asking {
        Asked asked[TOOLS_MAX];
        size_t n;
} Asking;

static void asking_done(Asking *a) {
        assert(a);

        for (size_t i = 0; i < a->n; i++) {
                if (a->asked[i].pid > 0) {
                        (void) kill(-a->asked[i].pid, SIGKILL); /* with what it started */
                        (void) kill(a->asked[i].pid, SIGKILL);
                        (void) waitpid(a->asked[i].pid, NULL, 0);
                }
                safe_close(a->asked[i].fd);
                free(a->asked[i].path);
        }
        a->n = 0;
}

static int ask(Asked *a) {
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        char *const argv[] = { (char *) a->tool->name, (char *) a->tool->flag, NULL };
        char *const environment[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C",
                                      (char *) "HOME=/nonexistent", NULL };
        int pair[2], r;

        assert(a);

        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        r = exec_start(&(ExecArgs){ .path = a->path,
                                    .argv = argv,
                                    .environment = environment,
                                    .fds = { -1, theirs, -1, -1 },
                                    .flags = EXEC_NO_PRIVILEGES | EXEC_DIES_WITH_US | EXEC_WRITES_NO_FILES },
                       &a->pid);
        if (r < 0)
                a->pid = 0; /* it says nothing */
        a->fd = TAKE_FD(ours);
        return 0;
}

static int ask_all(const char *directories, Asking *a) {
        const Tool *table;
        size_t n;

        assert(a);

        table = tools_table(&n);
        assert(n <= TOOLS_MAX);
        for (size_t i = 0; i < n; i++) {
                Asked *asked = a->asked + a->n;
                int r;

                *asked = (Asked){ .tool = table + i, .fd = -EBADF };
                r = tool_find(directories, table[i].name, &asked->path);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                a->n++;
                r = ask(asked);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whether there is more to come. What does not fit is left, and its writer with it. */
static bool take(Asked *a) {
        ssize_t n;

        n = read(a->fd, a->output + a->n, sizeof(a->output) - a->n);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        a->n += (size_t) n;
        return n > 0 && a->n < sizeof(a->output);
}

static int collect(Asking *a, const atomic_bool *cancelled) {
        usec_t until = usec_add(now_usec(CLOCK_MONOTONIC), ASK_TIMEOUT);

        assert(a);

        while (!atomic_load(cancelled) && now_usec(CLOCK_MONOTONIC) < until) {
                struct pollfd fds[TOOLS_MAX];
                unsigned open = 0;

                for (size_t i = 0; i < a->n; i++) {
                        fds[i] = (struct pollfd){ .fd = a->asked[i].fd, .events = POLLIN };
                        open += a->asked[i].fd >= 0;
                }
                if (open == 0)
                        return 0;
                if (poll(fds, a->n, POLL_MSEC) < 0 && errno != EINTR)
                        return -errno;
                for (size_t i = 0; i < a->n; i++)
                        if (fds[i].revents && !take(a->asked + i))
                                a->asked[i].fd = safe_close(a->asked[i].fd);
        }
        return atomic_load(cancelled) ? -ECANCELED : 0;
}

int tools_ask(const char *directories, const atomic_bool *cancelled, json_t **ret, unsigned *ret_silent) {
        _cleanup_json_ json_t *versions = json_object();
        _cleanup_(freep) Asking *memory = NULL;
        unsigned silent = 0;
        int r;

        assert(directories);
        assert(cancelled);
        assert(ret);
        assert(ret_silent);

        memory = new0(Asking, 1);
        if (!memory || !versions)
                return -ENOMEM;
        r = ask_all(directories, memory);
        if (r >= 0)
                r = collect(memory, cancelled);
        for (size_t i = 0; i < memory->n && r >= 0; i++) {
                char version[TOOL_VERSION_MAX];
                bool known = tool_version_parse(memory->asked[i].output, memory->asked[i].n, version) >= 0;

                silent += !known;
                r = json_set(versions, memory->asked[i].tool->name, json_string(known ? version : "?"));
        }
        asking_done(memory);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(versions);
        *ret_silent = silent;
        return 0;
}
