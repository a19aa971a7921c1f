/* SPDX-License-Identifier: Apache-2.0 */

/* backupx-agent: the agent of one master on this host. */

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "agent/daemon/agent.h"
#include "agent/daemon/apply-limits.h"
#include "agent/daemon/check-bus.h"
#include "agent/daemon/enroll.h"
#include "agent/daemon/launch.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/names.h"

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Agent *a = ASSERT_PTR(userdata);

        agent_stop(a);
        return 0;
}

/* So that the ends of children are seen; sd-event asks for it. */
static int block_child_signal(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGCHLD);
        return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int run_agent(sd_event *event, const AgentOptions *options) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(agent_freep) Agent *a = NULL;
        _cleanup_(notify_stopping) bool ready = false;
        int r;

        assert(options);

        r = block_child_signal();
        if (r >= 0)
                r = agent_new(event, options, &a, &failure);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM, on_signal, a);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, on_signal, a);
        if (r < 0)
                return log_failure(r, &failure, "Cannot start");
        r = agent_start(a);
        if (r < 0)
                return r;
        (void) launch_leftovers(options);
        if (http_url_is_exposed(options->master))
                log_warning("The master is reached without TLS: the token, and all that jobs send, can be "
                            "read on the way to %s",
                            options->master);
        ready = notify_ready();
        return sd_event_loop(event);
}

/* What was secret in a JSON document is wiped with it. */
static void wiping_free(void *p) {
        if (p)
                explicit_bzero(p, malloc_usable_size(p));
        free(p);
}

static int run(int argc, char *argv[]) {
        _cleanup_(agent_options_done) AgentOptions options = AGENT_OPTIONS_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_event_ sd_event *event = NULL;
        int r;

        log_open("backupx-agent");
        json_set_alloc_funcs(malloc, wiping_free);
        r = agent_options_load(argc, argv, &options, &failure);
        if (r < 0) {
                log_struct(LOG_ERR, MESSAGE_CONFIG_INVALID, NULL, "%s", failure_message(&failure, r));
                return r;
        }
        if (options.log_level >= 0)
                log_set_max_level(options.log_level);
        /* The token and the identity are in this process. */
        (void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        switch (options.verb) {
        case AGENT_HELP:
                fputs(agent_help, stdout);
                return 0;
        case AGENT_VERSION:
                puts("backupx-agent " BACKUPX_VERSION);
                return 0;
        case AGENT_CHECK:
                return agent_check(options.instance);
        case AGENT_APPLY_LIMITS:
                return apply_limits();
        case AGENT_ENROLL:
        case AGENT_WAIT_ONLINE:
                r = event_new(&event);
                break;
        case AGENT_RUN:
                r = event_new_bare(&event);
                break;
        }
        if (r < 0)
                return log_error_errno(r, "Cannot make an event loop: %m");
        return options.verb == AGENT_RUN             ? run_agent(event, &options) :
                        options.verb == AGENT_ENROLL ? enroll(event, &options) :
                                                       wait_online(event, &options);
}

DEFINE_MAIN(run);
