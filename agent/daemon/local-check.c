/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <sys/wait.h>

#include "agent/common/channel.h"
#include "agent/common/tools.h"
#include "agent/daemon/check.h"
#include "agent/daemon/job-context.h"
#include "agent/daemon/launch.h"
#include "agent/daemon/local-check.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/event.h"
#include "sys/log.h"

/* Above the time that a job gives the tools; systemd ends it at this age, too. */
#define ANSWER_TIMEOUT (15 * USEC_PER_SEC)
#define ASKERS_MAX 16U

typedef struct Asker {
        LocalCheckDone done;
        void *userdata;
} Asker;

struct LocalCheck {
        Agent *agent;     /* weak */
        Channel *channel; /* NULL: no job is asked now */
        sd_event_source *timeout;
        bool greeted;
        Asker askers[ASKERS_MAX];
        size_t n_askers;
        json_t *tools;
        uint64_t signature; /* of the programs that tools was asked of */
};

static void finish(LocalCheck *c, json_t *report) {
        Asker askers[ASKERS_MAX];
        size_t n = c->n_askers;

        c->channel = channel_free(c->channel);
        (void) !event_rearm(c->timeout, USEC_INFINITY);
        memcpy(askers, c->askers, sizeof(askers));
        c->n_askers = 0;
        for (size_t i = 0; i < n; i++)
                askers[i].done(report, askers[i].userdata);
        json_decref(report);
}

/* Without a job: what the agent sees, and why that is all. */
static void finish_without(LocalCheck *c, const char *why) {
        json_t *report = NULL, *items = NULL;

        assert(c);

        if (agent_check_items(c->agent, &items) >= 0 &&
            check_add(items, "probe", CHECK_STATE_ERROR, "journalctl -u 'backupx-probe@*'",
                      "No job answered the check: %s", why) >= 0)
                report = json_pack("{s:o, s:{}}", "items", items, "tools");
        else
                json_decref(items);
        finish(c, report);
}

static void take_result(LocalCheck *c, const json_t *message) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        json_t *report = NULL;
        int r;

        assert(c);

        r = check_report_parse(json_object_get(message, "result"), &report, &failure);
        (void) !channel_send_type(c->channel, JOB_ACK);
        if (r < 0) {
                const char *why = json_string_value(
                                json_object_get(json_object_get(message, "error"), "message"));

                finish_without(c, why ? why : failure_message(&failure, r));
                return;
        }
        json_decref(c->tools);
        c->tools = json_incref(json_object_get(report, "tools"));
        finish(c, report);
}

static int send_start(LocalCheck *c) {
        _cleanup_json_ json_t *message = job_message_new(JOB_START);
        json_t *context = NULL, *items = NULL;
        int r;

        assert(c);

        if (!message)
                return -ENOMEM;
        r = json_set(message, "command", json_integer(0)); /* of nobody */
        if (r >= 0)
                r = json_set(message, "attempt", json_integer(0));
        if (r >= 0)
                r = json_set(message, "kind", json_string(command_kind_to_string(COMMAND_SELF_CHECK)));
        if (r >= 0)
                r = json_set(message, "spec", json_object());
        if (r >= 0)
                r = job_context_build(c->agent, &context);
        if (r >= 0)
                r = json_set(message, "context", context);
        if (r >= 0)
                r = agent_check_items(c->agent, &items);
        if (r >= 0)
                r = json_set(message, "checks", items);
        return r < 0 ? r : channel_send(c->channel, message);
}

static void on_message(Channel *channel, const json_t *message, void *userdata) {
        LocalCheck *c = ASSERT_PTR(userdata);

        switch (job_message_type(message)) {
        case JOB_HELLO:
                if (!c->greeted && send_start(c) < 0)
                        finish_without(c, "it did not take its orders");
                else
                        c->greeted = true;
                break;
        case JOB_RESULT:
                take_result(c, message);
                break;
        case JOB_START:
        case JOB_CANCEL:
        case JOB_ACK:
        case JOB_PROGRESS:
        case JOB_LOG:
        case JOB_SYNC:
        case JOB_LIMITS:
        case _JOB_MESSAGE_MAX:
        case _JOB_MESSAGE_INVALID:
                break;
        }
}

static void on_end(Channel *channel, int error, void *userdata) {
        finish_without(userdata, "it ended");
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        finish_without(userdata, "there was none in time");
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *si, void *userdata) {
        return 0;
}

/* Only so that it is reaped; its end is seen on its line. */
static void watch_child(LocalCheck *c, int pidfd) {
        sd_event_source *source = NULL;
        int r;

        assert(c);

        if (pidfd < 0)
                return;
        r = sd_event_add_child_pidfd(agent_event(c->agent), &source, pidfd, WEXITED, on_child, c);
        if (r >= 0)
                r = sd_event_source_set_child_pidfd_own(source, true);
        if (r >= 0)
                r = sd_event_source_set_floating(source, true); /* it ends with the loop */
        if (r < 0)
                log_debug_errno(r, "A job cannot be watched, ignoring: %m");
        sd_event_source_unref(source);
}

static int begin(LocalCheck *c, Failure *reterr_failure) {
        static const ChannelHandlers handlers = { .on_message = on_message, .on_end = on_end };
        int fd = -EBADF, pidfd = -EBADF, r;
        pid_t pid = 0;

        assert(c);

        c->greeted = false;
        r = launch_job(agent_options(c->agent), COMMAND_SELF_CHECK, &fd, &pid, &pidfd, reterr_failure);
        if (r < 0)
                return r;
        watch_child(c, pidfd);
        r = fd_set_nonblock(fd, true);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        r = channel_new(agent_event(c->agent), fd, &handlers, c, &c->channel);
        return r < 0 ? r : event_rearm(c->timeout, ANSWER_TIMEOUT);
}

int local_check_ask(LocalCheck *c, LocalCheckDone done, void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(c);
        assert(done);

        if (c->n_askers >= ASKERS_MAX)
                return -EBUSY;
        c->askers[c->n_askers++] = (Asker){ done, userdata };
        if (c->channel)
                return 0;
        r = begin(c, &failure);
        if (r < 0)
                finish_without(c, failure_message(&failure, r));
        return 0;
}

/* --- Tools ------------------------------------------------------------------------------------------ */

static void on_tools(const json_t *report, void *userdata) {
        LocalCheck *c = ASSERT_PTR(userdata);

        if (report && c->tools)
                agent_facts_changed(c->agent);
}

json_t *local_check_tools(LocalCheck *c) {
        uint64_t signature;

        assert(c);

        signature = tools_signature(agent_options(c->agent)->tools_path);
        if (signature != c->signature) {
                c->signature = signature;
                (void) !local_check_ask(c, on_tools, c);
        }
        return c->tools ? json_incref(c->tools) : json_object();
}

/* --- Making ----------------------------------------------------------------------------------------- */

int local_check_new(Agent *a, LocalCheck **ret) {
        _cleanup_(local_check_freep) LocalCheck *c = NULL;
        int r;

        assert(a);
        assert(ret);

        c = new0(LocalCheck, 1);
        if (!c)
                return -ENOMEM;
        c->agent = a;
        c->signature = tools_signature(""); /* of no tool: then there is nothing to ask */
        r = event_add_timer(agent_event(a), &c->timeout, USEC_INFINITY, on_timeout, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

LocalCheck *local_check_free(LocalCheck *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n_askers; i++)
                c->askers[i].done(/* report= */ NULL, c->askers[i].userdata);
        channel_free(c->channel);
        sd_event_source_disable_unref(c->timeout);
        json_decref(c->tools);
        return mfree(c);
}
