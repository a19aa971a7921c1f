/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/daemon/adopt.h"
#include "agent/daemon/agent-bus.h"
#include "agent/daemon/agent-private.h"
#include "agent/daemon/claim.h"
#include "agent/daemon/delivery.h"
#include "agent/daemon/heartbeat.h"
#include "agent/daemon/local-check.h"
#include "agent/daemon/self-enroll.h"
#include "agent/daemon/work.h"
#include "agent/daemon/works.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/agent.h"
#include "wire/names.h"

sd_event *agent_event(const Agent *a) {
        assert(a);
        return a->event;
}

const AgentOptions *agent_options(const Agent *a) {
        assert(a);
        return a->options;
}

Master *agent_master(const Agent *a) {
        assert(a);
        return a->master;
}

const AgeIdentity *agent_identity(const Agent *a) {
        assert(a);
        return &a->identity;
}

const char *agent_public_key(const Agent *a) {
        assert(a);
        return a->public_key;
}

const char *agent_id(const Agent *a) {
        assert(a);
        return a->id;
}

const char *agent_boot_id(const Agent *a) {
        assert(a);
        return a->boot_id;
}

int agent_results_fd(const Agent *a) {
        assert(a);
        return a->results_fd;
}

uint64_t agent_node_id(const Agent *a) {
        assert(a);
        return a->node_id;
}

const char *agent_node_name(const Agent *a) {
        assert(a);
        return a->node_name;
}

bool agent_is_stopping(const Agent *a) {
        assert(a);
        return a->stopping;
}

bool agent_is_duplicated(const Agent *a) {
        assert(a);
        return a->duplicated;
}

bool agent_clock_skew(const Agent *a, int64_t *ret_usec) {
        assert(a);
        assert(ret_usec);

        if (a->has_clock_skew)
                *ret_usec = a->clock_skew;
        return a->has_clock_skew;
}

LocalCheck *agent_local_check(const Agent *a) {
        assert(a);
        return a->local_check;
}

Work **agent_works(Agent *a) {
        assert(a);
        return &a->works;
}

void agent_disabled(Agent *a) {
        assert(a);

        for (Work *w = a->works, *next; w; w = next) {
                next = w->next;
                work_cancel(w, /* stopping= */ false);
        }
}

bool agent_has_lost_work(const Agent *a) {
        assert(a);
        return works_has_lost(a->works);
}

json_t *agent_list_work(const Agent *a, WorkStateFilter which) {
        assert(a);
        return works_to_json(a->works, which);
}

json_t *agent_list_unstarted(const Agent *a) {
        assert(a);
        return works_unstarted_to_json(a->works);
}

usec_t agent_beat_due(const Agent *a) {
        assert(a);
        return heartbeat_due(a->heartbeat);
}

bool agent_is_polling(const Agent *a) {
        assert(a);
        return claim_is_waiting(a->claim);
}

void agent_beat_if_due(Agent *a) {
        assert(a);

        heartbeat_if_due(a->heartbeat);
}

/* --- Status ------------------------------------------------------------------------------------------- */

static int build_status(const Agent *a, char **ret) {
        unsigned jobs = works_count_jobs(a->works);

        if (a->stopping)
                return asprintf_safe(ret, "Stopping, %u job%s to wait for", jobs, jobs == 1 ? "" : "s");
        if (!master_token(a->master) && self_enroll_trouble(a->self_enroll))
                return asprintf_safe(ret, "Not enrolled: %s", self_enroll_trouble(a->self_enroll));
        if (!master_token(a->master))
                return asprintf_safe(ret, "Not enrolled: there is no token yet. Run: backupx-agent enroll");
        if (a->duplicated)
                return asprintf_safe(ret,
                                     "Another agent answers for this node at %s: was this machine cloned?",
                                     a->options->master);
        if (master_is_connected(a->master))
                return asprintf_safe(ret, "Connected to %s%s%s, %u job%s", a->options->master,
                                     a->node_name ? " as " : "", strempty(a->node_name), jobs,
                                     jobs == 1 ? "" : "s");
        if (isempty(master_trouble(a->master)))
                return asprintf_safe(ret, "Connecting to %s", a->options->master);
        return asprintf_safe(ret, "No contact with %s: %s", a->options->master, master_trouble(a->master));
}

/* Only what is new: the service manager has more to do than to read us. */
void agent_tell_status(Agent *a) {
        _cleanup_(freep) char *text = NULL;

        assert(a);

        if (build_status(a, &text) < 0 || streq_ptr(text, a->status))
                return;
        notify_status("%s", text);
        free(a->status);
        a->status = TAKE_PTR(text);
}

static void on_master_change(Master *m, void *userdata) {
        Agent *a = ASSERT_PTR(userdata);

        if (master_is_connected(m))
                log_struct(LOG_INFO, MESSAGE_AGENT_CONNECTED, LOG_FIELDS(LOG_NODE(a->node_id)),
                           "Connected to %s", a->options->master);
        else if (!isempty(master_trouble(m)))
                log_struct(LOG_WARNING, MESSAGE_AGENT_DISCONNECTED, LOG_FIELDS(LOG_NODE(a->node_id)),
                           "No contact with %s: %s", a->options->master, master_trouble(m));
        agent_tell_status(a);
}

static void on_master_quiet(Master *m, void *userdata) {
        Agent *a = ASSERT_PTR(userdata);

        heartbeat_if_due(a->heartbeat);
        claim_update(a->claim);
}

void agent_duplicated(Agent *a, bool duplicated) {
        assert(a);

        if (a->duplicated == duplicated)
                return;
        a->duplicated = duplicated;
        if (duplicated)
                log_struct(LOG_WARNING, MESSAGE_NODE_DUPLICATE, LOG_FIELDS(LOG_NODE(a->node_id)),
                           "Another agent answers for this node at %s: was this machine cloned?",
                           a->options->master);
        agent_tell_status(a);
}

/* --- Commands ----------------------------------------------------------------------------------------- */

void agent_take_command(Agent *a, const json_t *command) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Delivery d = {};
        int r;

        assert(a);

        r = delivery_read(command, &d, &failure);
        if (r < 0) {
                log_error("A command of the master cannot be understood, ignoring: %s",
                          failure_message(&failure, r));
                return;
        }
        if (works_has_attempt(a->works, d.name)) {
                log_debug("Command %" PRIu64 ", attempt %" PRIu64 ", is here already", d.name.command,
                          d.name.attempt);
                return;
        }
        r = work_new(a, &d);
        if (r < 0)
                log_error_errno(r, "Command %" PRIu64 " cannot be taken: %m", d.name.command);
}

void agent_claim_answered(Agent *a) {
        assert(a);

        for (Work *w = a->works, *next; w; w = next) {
                next = w->next;
                work_claim_answered(w);
        }
}

static void cancel(Agent *a, uint64_t command) {
        assert(a);

        for (Work *w = a->works, *next; w; w = next) {
                next = w->next;
                if (w->name.command == command)
                        work_cancel(w, /* stopping= */ false);
        }
}

void agent_take_cancels(Agent *a, const json_t *ids) {
        const json_t *id;
        size_t i;

        assert(a);

        json_array_foreach((json_t *) ids, i, id) {
                if (json_is_integer(id) && json_integer_value(id) > 0)
                        cancel(a, (uint64_t) json_integer_value(id));
        }
}

static void exit_when_done(Agent *a) {
        if (!works_hold_up_exit(a->works))
                (void) sd_event_exit(a->event, 0);
}

void agent_work_changed(Agent *a) {
        assert(a);

        agent_spread_limits(a);
        agent_tell_status(a);
        if (a->stopping)
                exit_when_done(a);
        else
                claim_update(a->claim);
}

void agent_work_ended(Agent *a, WorkName name) {
        assert(a);

        for (Work *w = a->works, *next; w; w = next) {
                next = w->next;
                if (w->name.command == name.command)
                        work_look_again(w);
        }
        agent_work_changed(a);
}

/* --- The master's answers ------------------------------------------------------------------------------ */

static void on_self(const Reply *reply, void *userdata) {
        Agent *a = ASSERT_PTR(userdata);
        json_int_t id;

        assert(reply);

        a->self_call = NULL;
        if (reply->verdict != REPLY_OK)
                return; /* asked again with the next greeting */
        id = json_integer_value(json_object_get(reply->data, "id"));
        a->node_id = id > 0 ? (uint64_t) id : 0;
        (void) !free_and_strdup(&a->node_name, json_string_value(json_object_get(reply->data, "name")));
        agent_tell_status(a);
}

void agent_greeted(Agent *a) {
        MasterRequest request = { .path = "self", .done = on_self, .userdata = a };
        int r;

        assert(a);

        r = a->self_call ? 0 : master_ask(a->master, &request, &a->self_call);
        if (r < 0)
                log_debug_errno(r, "Cannot ask who this node is: %m");
        /* Claims that were refused with the heartbeats before wait long. */
        claim_now(a->claim);
}

void agent_take_clock(Agent *a, usec_t sent, usec_t master) {
        usec_t now = now_usec(CLOCK_REALTIME);

        assert(a);

        /* The master looked at its clock somewhere between the two; a step in between makes nonsense, which
         * the next heartbeat corrects. */
        a->clock_skew = (int64_t) (sent + (now - sent) / 2 - master);
        a->has_clock_skew = true;
}

void agent_facts_changed(Agent *a) {
        assert(a);

        heartbeat_soon(a->heartbeat);
}

void agent_tell_check(Agent *a, json_t *report) {
        assert(a);

        heartbeat_tell_check(a->heartbeat, report);
}

/* --- Start ------------------------------------------------------------------------------------------ */

void agent_begin(Agent *a) {
        assert(a);

        heartbeat_start(a->heartbeat);
        claim_update(a->claim);
        agent_tell_status(a);
}

int agent_start(Agent *a) {
        int r;

        assert(a);

        r = agent_bus_start(a->bus);
        if (r < 0)
                return log_error_errno(r, "Cannot open the bus: %m");
        r = adopt_all(a);
        if (r < 0)
                return r;
        r = agent_token_try(a);
        if (r > 0) {
                agent_begin(a);
                return 0;
        }
        log_warning("This host is not enrolled at %s yet: waiting for the answer to an install link, for "
                    "'backupx-agent enroll', or for a token file",
                    a->options->master);
        agent_tell_status(a);
        return event_rearm(a->token_timer, AGENT_TOKEN_INTERVAL);
}

/* --- Stop --------------------------------------------------------------------------------------------- */

static int on_stop_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Agent *a = ASSERT_PTR(userdata);

        log_warning("Jobs are left behind; their results are delivered by the next agent");
        return sd_event_exit(a->event, 0);
}

void agent_stop(Agent *a) {
        assert(a);

        if (a->stopping)
                return;
        a->stopping = true;
        claim_stop(a->claim);
        /* Jobs of systemd go on: their lines are in the fd store, and their results go to a file. */
        for (Work *w = a->works, *next; w; w = next) {
                next = w->next;
                if (w->pid > 0)
                        work_cancel(w, /* stopping= */ true);
        }
        agent_tell_status(a);
        if (event_rearm(a->stop_timer, AGENT_STOP_PATIENCE) < 0)
                (void) sd_event_exit(a->event, 0);
        exit_when_done(a);
}

/* --- Making ------------------------------------------------------------------------------------------- */

static int open_folders(Agent *a, Failure *reterr_failure) {
        AgeRecipient recipient;
        int r;

        assert(a);

        a->state_fd = state_dir_open(a->options->state_dir, reterr_failure);
        if (a->state_fd < 0)
                return a->state_fd;
        a->results_fd = state_dir_open(a->options->results_dir, reterr_failure);
        if (a->results_fd < 0)
                return a->results_fd;
        (void) fchmod(a->state_fd, 0700); /* whoever made it */
        agent_limits_load(a->state_fd, &a->limits);
        state_dir_tidy(a->state_fd, /* only_old= */ false);
        state_dir_tidy(a->results_fd, /* only_old= */ true); /* jobs write there, too */
        r = state_identity(a->state_fd, &a->identity, reterr_failure);
        if (r >= 0)
                r = state_agent_id(a->state_fd, a->id, reterr_failure);
        if (r >= 0)
                r = age_identity_recipient(&a->identity, &recipient);
        if (r >= 0)
                (void) age_recipient_format(&recipient, a->public_key);
        if (r >= 0)
                r = daemon_boot_id(a->boot_id);
        return r;
}

int agent_new(sd_event *event, const AgentOptions *options, Agent **ret, Failure *reterr_failure) {
        _cleanup_(agent_freep) Agent *a = NULL;
        int r;

        assert(event);
        assert(options);
        assert(ret);

        a = new0(Agent, 1);
        if (!a)
                return -ENOMEM;
        a->event = sd_event_ref(event);
        a->options = options;
        a->state_fd = a->results_fd = -EBADF;
        r = open_folders(a, reterr_failure);
        if (r >= 0)
                r = master_new(event, options, &a->master);
        if (r >= 0)
                r = self_enroll_new(a->master, a->state_fd, agent_on_self_enrolled, a, &a->self_enroll);
        if (r >= 0)
                r = claim_new(a, &a->claim);
        if (r >= 0)
                r = heartbeat_new(a, &a->heartbeat);
        if (r >= 0)
                r = local_check_new(a, &a->local_check);
        if (r >= 0)
                r = agent_bus_new(a, &a->bus);
        if (r >= 0)
                r = event_add_timer(event, &a->token_timer, USEC_INFINITY, agent_on_token_timer, a);
        if (r >= 0)
                r = event_add_timer(event, &a->stop_timer, USEC_INFINITY, on_stop_timer, a);
        if (r < 0)
                return r;
        master_on_change(a->master, on_master_change, a);
        master_on_quiet(a->master, on_master_quiet, a);

        *ret = TAKE_PTR(a);
        return 0;
}

Agent *agent_free(Agent *a) {
        if (!a)
                return NULL;

        while (a->works)
                work_free(a->works);
        master_call_free(a->self_call);
        self_enroll_free(a->self_enroll);
        claim_free(a->claim);
        heartbeat_free(a->heartbeat);
        master_free(a->master);
        local_check_free(a->local_check);
        agent_bus_free(a->bus);
        sd_event_source_disable_unref(a->token_timer);
        sd_event_source_disable_unref(a->stop_timer);
        age_identity_erase(&a->identity);
        erase_and_free(a->given);
        free(a->node_name);
        free(a->status);
        safe_close(a->state_fd);
        safe_close(a->results_fd);
        sd_event_unref(a->event);
        return mfree(a);
}
