/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/common/hook-line.h"
#include "agent/daemon/launch.h"
#include "base/alloc.h"
#include "base/exec.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/log.h"

const char *launch_unit(CommandKind kind) {
        switch (kind) {
        case COMMAND_BACKUP:
        case COMMAND_VERIFY:
        case COMMAND_PRUNE:
                return "backup";
        case COMMAND_RESTORE:
                return "restore";
        case COMMAND_LIST_DIR:
        case COMMAND_DISCOVER_DATABASES:
        case COMMAND_RCLONE_BACKENDS:
        case COMMAND_TEST_STORAGE:
        case COMMAND_TEST_TASK:
        case COMMAND_BROWSE:
        case COMMAND_SELF_CHECK:
        case COMMAND_READ_FILE:
        case _COMMAND_KIND_MAX:
        case _COMMAND_KIND_INVALID:
                return "probe";
        }
        return "probe";
}

bool launch_is_probe(CommandKind kind) {
        return kind >= 0 && streq(launch_unit(kind), "probe");
}

/* --- A child ------------------------------------------------------------------------------------------ */

static int extend_named(char ***l, const char *name, const char *value) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = asprintf_safe(&line, "%s=%s", name, value);
        return r < 0 ? r : strv_extend(l, line);
}

/* What a job may know of our environment: nothing secret is ever in it. */
static int child_environment(const AgentOptions *options, char ***ret) {
        assert(options);

        static const char *const passed[] = { "PATH", "TZ", "LANG", "BACKUPX_LOG_LEVEL", "JOURNAL_STREAM" };
        _cleanup_(strv_freep) char **l = NULL;
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(passed) && r >= 0; i++) {
                const char *value = getenv(passed[i]);

                if (value)
                        r = extend_named(&l, passed[i], value);
        }
        if (r >= 0)
                r = extend_named(&l, "BACKUPX_AGENT_STATE_DIR", options->state_dir);
        if (r >= 0)
                r = extend_named(&l, "BACKUPX_AGENT_POLICY", options->policy);
        if (r >= 0)
                r = extend_named(&l, "BACKUPX_AGENT_TOOLS_PATH", options->tools_path);
        if (r >= 0)
                r = extend_named(&l, "BACKUPX_AGENT_HOOK", options->hook);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

static int spawn(const AgentOptions *options, int *ret_fd, pid_t *ret_pid, int *ret_pidfd) {
        char *const argv[] = { (char *) "backupx-job", NULL };
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        _cleanup_(strv_freep) char **environment = NULL;
        int pair[2], pidfd, r;
        pid_t pid;

        assert(options);

        r = child_environment(options, &environment);
        if (r < 0)
                return r;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        r = fd_set_nonblock(ours, true);
        if (r < 0)
                return r;
        r = exec_start(&(ExecArgs){ .path = options->job,
                                    .argv = argv,
                                    .environment = environment,
                                    /* What it logs goes where ours goes; it looks for its line there. */
                                    .fds = { -1, -1, STDERR_FILENO, theirs } },
                       &pid);
        if (r < 0)
                return r;
        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0)
                pidfd = -errno;
        *ret_fd = TAKE_FD(ours);
        *ret_pid = pid;
        *ret_pidfd = pidfd;
        return 0;
}

int launch_job(const AgentOptions *options, CommandKind kind, int *ret_fd, pid_t *ret_pid, int *ret_pidfd,
               Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(options);
        assert(ret_fd && ret_pid && ret_pidfd);

        r = asprintf_safe(&path, "%s/%s.sock", options->runtime_dir, launch_unit(kind));
        if (r < 0)
                return r;
        r = fd_connect_unix(path, SOCK_STREAM | SOCK_NONBLOCK, ret_fd);
        if (r >= 0) {
                *ret_pid = 0;
                *ret_pidfd = -EBADF;
                return 0;
        }
        if (r != -ENOENT)
                return failure_set(reterr_failure, r, "JOB_NOT_STARTED",
                                   "The job socket %s cannot be used: %m", path);
        if (access(options->job, X_OK) < 0)
                return failure_set(reterr_failure, -errno, "JOB_NOT_STARTED",
                                   "There is neither the job socket %s nor the program %s: %m", path,
                                   options->job);
        r = spawn(options, ret_fd, ret_pid, ret_pidfd);
        if (r < 0)
                return failure_set(reterr_failure, r, "JOB_NOT_STARTED", "No job can be started: %m");
        return 0;
}

/* --- Hooks -------------------------------------------------------------------------------------------- */

static bool exists(const char *folder, const char *name) {
        _cleanup_(freep) char *path = NULL;

        return asprintf_safe(&path, "%s/%s", folder, name) >= 0 && access(path, F_OK) >= 0;
}

int launch_leftovers(const AgentOptions *options) {
        _cleanup_json_ json_t *message = NULL;
        _cleanup_(strv_freep) char **environment = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *socket_path = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *program = NULL;
        int r;

        assert(options);

        if (!exists(options->runtime_dir, "hook.sock")) {
                if (exists(options->runtime_dir, "backup.sock") || !exists(options->state_dir, "hooks"))
                        return 0; /* switched off, or never used */
                program = options->hook;
        }
        message = hook_message_new(HOOK_MESSAGE_LEFTOVERS);
        r = message ? asprintf_safe(&socket_path, "%s/hook.sock", options->runtime_dir) : -ENOMEM;
        if (r >= 0)
                r = child_environment(options, &environment);
        if (r >= 0)
                r = hook_line_open(socket_path, program, environment, &fd, &failure);
        if (r >= 0)
                r = hook_message_send(fd, message);
        if (r < 0)
                log_warning_errno(r, "Hooks that were left to be run cannot be looked for, ignoring: %s",
                                  failure_message(&failure, r));
        return r;
}

/* --- The fd store ----------------------------------------------------------------------------------- */

void fd_store_add(int fd, const char *name) {
        _cleanup_(freep) char *message = NULL;
        int r;

        assert(fd >= 0);
        assert(name);

        /* FDPOLL=0: a job that ends while no agent runs leaves its last words in the socket. The manager
         * would otherwise throw the descriptor away as soon as the other end closes. */
        if (asprintf_safe(&message, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name) < 0)
                return;
        r = sd_pid_notify_with_fds(0, /* unset_environment= */ false, message, &fd, 1);
        if (r < 0)
                log_warning_errno(r, "The line of %s cannot be put into the fd store, ignoring: %m", name);
}

void fd_store_remove(const char *name) {
        _cleanup_(freep) char *message = NULL;

        assert(name);

        if (asprintf_safe(&message, "FDSTOREREMOVE=1\nFDNAME=%s", name) >= 0)
                (void) sd_notify(/* unset_environment= */ false, message);
}
