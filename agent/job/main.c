/* SPDX-License-Identifier: Apache-2.0 */

/* backupx-job: runs one piece of work and ends. systemd starts one instance for each connection to a job
 * socket; where there is no systemd the agent starts it over a socket pair. Either way descriptor 3 is the
 * line to the agent, and everything else, secrets included, comes through it. */

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/common/hook-line.h"
#include "agent/common/policy.h"
#include "agent/common/tools.h"
#include "agent/job/job.h"
#include "base/alloc.h"
#include "base/text.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/json.h"

#define LINE_FD 3
#define STATE_DIR_DEFAULT "/var/lib/backupx-agent"

/* Secrets pass through this process: no core dump, no debugger of the same user. */
static int harden(void) {
        static const struct rlimit none = {};

        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;
        if (setrlimit(RLIMIT_CORE, &none) < 0)
                return -errno;
        /* Others probe with it whether we live. */
        (void) signal(SIGHUP, SIG_IGN);
        (void) umask(077);
        return 0;
}

/* What was secret in a JSON document is wiped with it. */
static void wiping_free(void *p) {
        if (p)
                explicit_bzero(p, malloc_usable_size(p));
        free(p);
}

static int check_line(void) {
        struct stat st;

        if (fstat(LINE_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
                return log_error_errno(-ENOTSOCK,
                                       "Descriptor 3 is no socket: the agent or a job socket of systemd "
                                       "starts this program, nobody else does");
        return 0;
}

static int parse_argv(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        puts("backupx-job [--help | --version]\n\n"
                             "One job of backupx-agent, which starts it.");
                        return 0;
                case 'V':
                        puts("backupx-job " BACKUPX_VERSION);
                        return 0;
                default: /* a character */
                        return -EINVAL;
                }
        return 1;
}

/* Where storage of ours, temporary copies and the cache are: the unit says where a cache belongs. */
static int find_folders(char **ret_storage, char **ret_staging, char **ret_cache) {
        const char *state = getenv("BACKUPX_AGENT_STATE_DIR"), *cache = getenv("CACHE_DIRECTORY");
        _cleanup_(freep) char *storage = NULL, *staging = NULL;
        int r;

        if (isempty(state))
                state = STATE_DIR_DEFAULT;
        r = asprintf_safe(&storage, "%s/storage", state);
        if (r >= 0)
                r = asprintf_safe(&staging, "%s/staging", state);
        if (r >= 0)
                r = isempty(cache) ? asprintf_safe(ret_cache, "%s/cache", state) :
                                     asprintf_safe(ret_cache, "%s", cache);
        if (r < 0)
                return r;
        *ret_storage = TAKE_PTR(storage);
        *ret_staging = TAKE_PTR(staging);
        return 0;
}

static int run(int argc, char *argv[]) {
        const char *policy = getenv("BACKUPX_AGENT_POLICY"), *tools = getenv("BACKUPX_AGENT_TOOLS_PATH");
        const char *hook = getenv("BACKUPX_AGENT_HOOK");
        _cleanup_(freep) char *storage_dir = NULL, *staging_dir = NULL, *cache_dir = NULL;
        _cleanup_(job_freep) Job *j = NULL;
        _cleanup_event_ sd_event *event = NULL;
        JobArgs args = {
                .fd = LINE_FD,
                .policy_path = isempty(policy) ? POLICY_PATH_DEFAULT : policy,
                .tools_path = isempty(tools) ? TOOLS_PATH_DEFAULT : tools,
                .hook_program = isempty(hook) ? NULL : hook,
                .hook_socket = HOOK_SOCKET_DEFAULT,
        };
        int r;

        log_open("backupx-job");
        json_set_alloc_funcs(malloc, wiping_free);
        r = parse_argv(argc, argv);
        if (r <= 0)
                return r;
        r = harden();
        if (r < 0)
                return log_error_errno(r, "Cannot protect the memory of this process: %m");
        r = check_line();
        if (r < 0)
                return r;
        r = find_folders(&storage_dir, &staging_dir, &cache_dir);
        if (r < 0)
                return log_error_errno(r, "%m");
        args.storage_dir = storage_dir;
        args.staging_dir = staging_dir;
        args.cache_dir = cache_dir;
        r = event_new_bare(&event); /* a signal cancels the job */
        if (r >= 0)
                r = job_new(event, &args, &j);
        if (r < 0)
                return log_error_errno(r, "Cannot start: %m");
        (void) notify_ready();
        r = sd_event_loop(event);
        /* A worker that hangs in a system call is not waited for. */
        if (job_is_busy(j))
                _exit(r < 0 ? 1 : r);
        return r;
}

DEFINE_MAIN(run);
