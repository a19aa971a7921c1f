/* SPDX-License-Identifier: Apache-2.0 */

/* The keeper of hooks. One instance of backupx-hook@.service for each backup that has hooks, or a process
 * that the job started where there is no systemd; the line is descriptor 3 in both. */

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/common/policy.h"
#include "agent/hook/keeper.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/daemon.h"
#include "sys/log.h"
#include "wire/hooks.h"

#define LINE_FD 3
#define HOOKS_FOLDER "hooks.d"
#define AGENT_STATE_DIR_DEFAULT "/var/lib/backupx-agent"
#define PATH_OF_HOOKS "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int parse_argv(int argc, char *argv[], bool *ret_leftovers) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "leftovers", no_argument, NULL, 'l' },
                { "version", no_argument, NULL, 'V' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        puts("backupx-hook [--leftovers | --help | --version]\n\n"
                             "Runs the hooks of one backup job, which starts it. With --leftovers it runs "
                             "what others,\nwhich were killed, left to be run.");
                        return 0;
                case 'l':
                        *ret_leftovers = true;
                        break;
                case 'V':
                        puts("backupx-hook " BACKUPX_VERSION);
                        return 0;
                default: /* a character */
                        return -EINVAL;
                }
        return 1;
}

/* hooks.d lies beside the policy; the state is the unit's, or the agent's where there is no unit. */
static int find_folders(const char *policy, char **ret_folder, char **ret_state) {
        const char *unit = getenv("STATE_DIRECTORY"), *agent = getenv("BACKUPX_AGENT_STATE_DIR");
        const char *slash = strrchr(policy, '/');
        _cleanup_(freep) char *folder = NULL;
        int r;

        r = slash ? asprintf_safe(&folder, "%.*s/" HOOKS_FOLDER, (int) (slash - policy), policy) :
                    asprintf_safe(&folder, HOOKS_FOLDER);
        if (r >= 0)
                r = isempty(unit) ? asprintf_safe(ret_state, "%s/hooks",
                                                  isempty(agent) ? AGENT_STATE_DIR_DEFAULT : agent) :
                                    asprintf_safe(ret_state, "%s", unit);
        if (r < 0)
                return r;
        *ret_folder = TAKE_PTR(folder);
        return 0;
}

static int block_signals(void) {
        sigset_t set;
        int fd;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

static int check_line(void) {
        int type;
        socklen_t n = sizeof(type);

        if (getsockopt(LINE_FD, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_SEQPACKET)
                return log_error_errno(-EBADF, "There is no line to a job on descriptor 3: a job starts "
                                               "this program, nobody else does");
        return fd_set_cloexec(LINE_FD, true);
}

static int run(int argc, char *argv[]) {
        const char *policy = getenv("BACKUPX_AGENT_POLICY");
        _cleanup_(freep) char *folder = NULL, *state = NULL;
        _cleanup_close_ int signals = -EBADF;
        KeeperArgs args = { .line = -EBADF, .path = PATH_OF_HOOKS };
        bool leftovers = false;
        int r;

        log_open("backupx-hook");
        r = parse_argv(argc, argv, &leftovers);
        if (r <= 0)
                return r;
        signals = block_signals();
        if (signals < 0)
                return log_error_errno(signals, "Cannot take care of signals: %m");
        args.signals = signals;
        args.policy_path = isempty(policy) ? POLICY_PATH_DEFAULT : policy;
        r = find_folders(args.policy_path, &folder, &state);
        if (r < 0)
                return log_error_errno(r, "Cannot start: %m");
        args.folder = folder;
        args.state_dir = state;
        if (leftovers)
                return keeper_leftovers(&args);
        r = check_line();
        if (r < 0)
                return r;
        args.line = LINE_FD;
        return keeper_serve(&args);
}

DEFINE_MAIN(run);
