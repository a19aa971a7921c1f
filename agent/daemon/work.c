/* SPDX-License-Identifier: Apache-2.0 */

/* The table of work-state.h at work: events come from the job's line, the master's answers and timers, and
 * work_apply() does what entering the new state means. A work that has ended is freed by on_reap(), in a
 * turn of the loop of its own: whoever applied the last event still has it in hand. */

#include <errno.h>
#include <inttypes.h>

#include "agent/common/policy.h"
#include "agent/daemon/launch.h"
#include "agent/daemon/work-check.h"
#include "agent/daemon/work.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/names.h"
#include "wire/result.h"

static bool is_probe(const Work *w) {
        return launch_is_probe(w->kind);
}

/* --- Results without a job --------------------------------------------------------------------------- */

void work_set_failure(Work *w, const char *status, const char *code, const char *message) {
        json_t *result;

        assert(w);

        result = json_pack("{s:s, s:{s:s, s:s}, s:{}}", "status", status, "error", "code", code, "message",
                           message, "result");
        if (!result)
                return; /* out of memory, or no UTF-8: work_report() makes do without */
        json_decref(w->result);
        w->result = result;
}

static void set_gone(Work *w) {
        assert(w);

        if (w->cancelled && !w->stopped)
                work_set_failure(w, "cancelled", "CANCELLED", "The job was cancelled");
        else if (w->stopped)
                work_set_failure(w, "failed", "AGENT_STOPPED", "The agent was stopped while the job ran");
        else if (w->state == WORK_LOST)
                work_set_failure(w, "failed", "AGENT_RESTARTED",
                                 "The agent was restarted, and the job is gone without a result");
        else
                work_set_failure(
                                w, "failed", "JOB_KILLED",
                                "The job ended without a result: it was killed, or the host was short of "
                                "memory. Its journal tells more");
        log_struct(LOG_ERR, MESSAGE_JOB_LOST, WORK_FIELDS(w), "The job of command %" PRIu64 " is lost: %s",
                   w->name.command,
                   strempty(json_string_value(
                                   json_object_get(json_object_get(w->result, "error"), "message"))));
}

/* --- The table at work ------------------------------------------------------------------------------- */

static const Work *older_attempt(const Work *w) {
        for (const Work *o = *agent_works(w->agent); o; o = o->next)
                if (o != w && o->name.command == w->name.command && work_state_takes_place(o->state) &&
                    o->name.attempt < w->name.attempt)
                        return o;
        return NULL;
}

static int on_reap(sd_event_source *source, void *userdata) {
        Work *w = ASSERT_PTR(userdata);
        Agent *a = w->agent;
        WorkName name = w->name;

        work_free(w);
        agent_work_ended(a, name);
        return 0;
}

static void end_work(Work *w) {
        int r;

        assert(w);

        if (w->channel) /* what it has to say is nobody's business: it need not leave it behind */
                (void) !channel_send_type(w->channel, JOB_ACK);
        work_close_line(w);
        result_forget(agent_results_fd(w->agent), w->name);
        w->call = master_call_free(w->call);
        (void) !event_rearm(w->timer, USEC_INFINITY);
        (void) !event_rearm(w->report_timer, USEC_INFINITY);
        /* Later: whoever called us still has it in hand. */
        r = event_add_idle(agent_event(w->agent), &w->reaper, on_reap, w);
        if (r < 0)
                log_error_errno(r, "Command %" PRIu64 " cannot be forgotten: %m", w->name.command);
}

static void log_finished(const Work *w) {
        const char *status = json_string_value(json_object_get(w->result, "status"));
        const char *why = json_string_value(json_object_get(json_object_get(w->result, "error"), "message"));
        bool good = streq_ptr(status, "succeeded");

        log_struct(good ? LOG_INFO : LOG_WARNING, MESSAGE_JOB_FINISHED, WORK_FIELDS(w),
                   "Command %" PRIu64 " (%s), attempt %" PRIu64 ", ended: %s%s%s", w->name.command,
                   strempty(command_kind_to_string(w->kind)), w->name.attempt, strempty(status),
                   why ? ": " : "", strempty(why));
}

/* A job that we cancelled because we end was not cancelled by anybody who wanted it. */
static void correct_stopped(Work *w) {
        if (w->stopped && streq_ptr(json_string_value(json_object_get(w->result, "status")), "cancelled"))
                work_set_failure(w, "failed", "AGENT_STOPPED", "The agent was stopped while the job ran");
}

static void enter(Work *w, WorkState before) {
        assert(w);

        switch (w->state) {
        case WORK_ACCEPTING:
                work_accept(w);
                break;
        case WORK_WAITING:
                if (!older_attempt(w))
                        work_apply(w, WORK_EVENT_CLEAR);
                break;
        case WORK_STARTING:
                work_launch(w);
                break;
        case WORK_RUNNING:
                log_struct(LOG_INFO, MESSAGE_JOB_STARTED, WORK_FIELDS(w),
                           "Command %" PRIu64 " (%s), attempt %" PRIu64 ", runs", w->name.command,
                           strempty(command_kind_to_string(w->kind)), w->name.attempt);
                break;
        case WORK_ORPHANED:
                work_close_line(w);
                work_look_for_orphan(w);
                break;
        case WORK_LOST:
                break;
        case WORK_REPORTING:
                correct_stopped(w);
                log_finished(w);
                work_save_result(w);
                work_close_line(w);
                work_report(w);
                break;
        case WORK_DISCARDING:
                work_cancel_job(w);
                break;
        case WORK_ENDED:
                end_work(w);
                break;
        case _WORK_STATE_MAX:
        case _WORK_STATE_INVALID:
                break;
        }
}

void work_apply(Work *w, WorkEvent event) {
        WorkState before, after;

        assert(w);

        before = w->state;
        after = work_state_after(before, event);
        log_debug("Command %" PRIu64 "-%" PRIu64 ": %s, %s: %s", w->name.command, w->name.attempt,
                  work_state_to_string(before), work_event_to_string(event), work_state_to_string(after));
        if (after == before)
                return;
        if (event == WORK_EVENT_GONE || (event == WORK_EVENT_CLAIMED && after == WORK_REPORTING))
                set_gone(w);
        (void) !event_rearm(w->timer, USEC_INFINITY);
        w->state = after;
        enter(w, before);
        agent_work_changed(w->agent);
}

void work_look_again(Work *w) {
        assert(w);

        if (w->state == WORK_WAITING && !older_attempt(w))
                work_apply(w, WORK_EVENT_CLEAR);
}

void work_claim_answered(Work *w) {
        pid_t pid;

        assert(w);

        if (w->state != WORK_LOST)
                return;
        /* Looked at once more: the result may have come since. */
        if (work_job_lives(w, &pid))
                work_apply(w, WORK_EVENT_ALIVE);
        else if (work_take_result_file(w))
                work_apply(w, WORK_EVENT_RESULT);
        else
                work_apply(w, WORK_EVENT_CLAIMED);
}

void work_cancel(Work *w, bool stopping) {
        assert(w);

        if (w->cancelled)
                return;
        switch (w->state) {
        case WORK_ACCEPTING:
        case WORK_WAITING:
        case WORK_STARTING:
                w->cancelled = true;
                if (stopping)
                        work_set_failure(w, "failed", "AGENT_STOPPED",
                                         "The agent was stopped before the job started");
                else
                        work_set_failure(w, "cancelled", "CANCELLED",
                                         "The command was cancelled before it started");
                work_apply(w, WORK_EVENT_CANCEL);
                break;
        case WORK_RUNNING:
        case WORK_ORPHANED:
                w->cancelled = true;
                w->stopped = stopping;
                work_cancel_job(w);
                break;
        case WORK_LOST:
        case WORK_REPORTING:
        case WORK_DISCARDING:
        case WORK_ENDED:
        case _WORK_STATE_MAX:
        case _WORK_STATE_INVALID:
                break;
        }
}

/* --- Making ------------------------------------------------------------------------------------------ */

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Work *w = ASSERT_PTR(userdata);

        switch (w->state) {
        case WORK_ACCEPTING:
                work_accept(w);
                break;
        case WORK_STARTING:
                work_launch(w);
                break;
        case WORK_RUNNING:
        case WORK_ORPHANED:
        case WORK_DISCARDING:
                work_look_for_orphan(w);
                break;
        case WORK_WAITING:
        case WORK_LOST:
        case WORK_REPORTING:
        case WORK_ENDED:
        case _WORK_STATE_MAX:
        case _WORK_STATE_INVALID:
                break;
        }
        return 0;
}

static int on_report_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Work *w = ASSERT_PTR(userdata);

        w->report_waits = false;
        work_report(w);
        return 0;
}

static int work_make(Agent *a, WorkName name, CommandKind kind, Work **ret) {
        Work **first = agent_works(a), *w;
        int r;

        w = new0(Work, 1);
        if (!w)
                return -ENOMEM;
        w->agent = a;
        w->name = name;
        w->kind = kind;
        w->backoff = BACKOFF_INIT(USEC_PER_SEC, 60 * USEC_PER_SEC);
        w->launch_backoff = BACKOFF_INIT(USEC_PER_SEC / 5, 5 * USEC_PER_SEC);
        r = event_add_timer(agent_event(a), &w->timer, USEC_INFINITY, on_timer, w);
        if (r >= 0)
                r = event_add_timer(agent_event(a), &w->report_timer, USEC_INFINITY, on_report_timer, w);
        if (r < 0) {
                work_free(w);
                return r;
        }
        w->next = *first;
        if (w->next)
                w->next->prev = w;
        *first = w;
        *ret = w;
        return 0;
}

/* A command that cannot or may not be done is answered before anything is started. */
static bool refuse(Work *w) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(w);

        r = work_check(w->kind, w->spec, agent_options(w->agent)->policy, &failure);
        if (r >= 0)
                return false;
        log_struct(LOG_WARNING, streq(failure.code, "POLICY_DENIED") ? MESSAGE_POLICY_DENIED : NULL,
                   WORK_FIELDS(w), "Command %" PRIu64 " is refused: %s", w->name.command,
                   failure_message(&failure, r));
        work_set_failure(w, "failed", failure_is_set(&failure) ? failure.code : "COMMAND_INVALID",
                         failure_message(&failure, r));
        return true;
}

int work_new(Agent *a, const Delivery *d) {
        json_int_t run;
        Work *w;
        int r;

        assert(a);
        assert(d);
        assert(d->spec);

        r = work_make(a, d->name, command_kind_from_string(d->kind), &w);
        if (r < 0)
                return r;
        w->deadline = d->deadline;
        w->spec = json_incref((json_t *) d->spec);
        run = json_integer_value(json_object_get(d->spec, "run"));
        w->run = run > 0 ? (uint64_t) run : 0;
        w->state = WORK_ACCEPTING;
        r = free_and_strdup(&w->sealed, d->sealed);
        if (r < 0) {
                work_free(w);
                return r;
        }
        /* An older attempt of it is not ours any more. */
        for (Work *o = *agent_works(a); o; o = o->next)
                if (o != w && o->name.command == d->name.command)
                        work_apply(o, WORK_EVENT_STALE);
        if (refuse(w)) {
                work_apply(w, WORK_EVENT_NOT_STARTED);
                return 0;
        }
        if (!is_probe(w)) {
                r = work_note_save(agent_results_fd(a), w->name, &(const WorkNote){ w->kind, w->run });
                if (r >= 0)
                        r = work_todo_save(agent_results_fd(a), w->name, agent_boot_id(a));
                if (r < 0)
                        log_warning_errno(r, "Command %" PRIu64 " cannot be noted down, ignoring: %m",
                                          w->name.command);
        }
        enter(w, _WORK_STATE_INVALID);
        return 0;
}

/* A job that waits for its orders ends when it sees the end of its line. */
static void forget_unstarted(Work *w, int fd) {
        char name[WORK_NAME_MAX];

        assert(w);

        if (fd >= 0)
                fd_store_remove(work_name_format(name, w->name, ""));
        safe_close(fd);
        w->kept = false;
        w->unstarted = true;
        w->state = WORK_LOST;
        log_struct(LOG_NOTICE, NULL, WORK_FIELDS(w),
                   "Command %" PRIu64 ", attempt %" PRIu64 ", was never begun: it is given back",
                   w->name.command, w->name.attempt);
}

int work_adopt(Agent *a, WorkName name, int fd) {
        WorkNote note = { .kind = _COMMAND_KIND_INVALID };
        bool lives;
        pid_t pid;
        Work *w;
        int r;

        assert(a);

        (void) !work_note_load(agent_results_fd(a), name, &note);
        r = work_make(a, name, note.kind, &w);
        if (r < 0)
                return r;
        w->run = note.run;
        w->accepted = true;
        w->kept = fd >= 0;
        /* The lock first: whoever leaves a result leaves it before it lets go of the lock. */
        lives = work_job_lives(w, &pid);
        if (work_take_result_file(w)) {
                w->state = WORK_RUNNING;
                if (fd >= 0 && work_open_line(w, fd) < 0)
                        log_debug("The line of command %" PRIu64 " cannot be used", name.command);
                work_apply(w, WORK_EVENT_RESULT);
                return 0;
        }
        if (lives)
                work_end_todo(w);
        else if (work_todo_holds(agent_results_fd(a), name, agent_boot_id(a))) {
                forget_unstarted(w, fd);
                return 0;
        }
        if (fd >= 0) {
                w->state = WORK_RUNNING;
                r = work_open_line(w, fd);
                if (r >= 0)
                        r = channel_sync(w->channel);
                if (r >= 0)
                        r = event_rearm(w->timer, WORK_SYNC_TIMEOUT);
                if (r >= 0) {
                        log_struct(LOG_INFO, NULL, WORK_FIELDS(w),
                                   "Command %" PRIu64 " still runs, its job is held "
                                   "again",
                                   name.command);
                        return 0;
                }
        }
        w->state = lives ? WORK_ORPHANED : WORK_LOST;
        enter(w, _WORK_STATE_INVALID);
        return 0;
}

Work *work_free(Work *w) {
        if (!w)
                return NULL;

        if (w->prev)
                w->prev->next = w->next;
        else if (*agent_works(w->agent) == w)
                *agent_works(w->agent) = w->next;
        if (w->next)
                w->next->prev = w->prev;
        sd_event_source_disable_unref(w->timer);
        sd_event_source_disable_unref(w->report_timer);
        sd_event_source_disable_unref(w->reaper);
        sd_event_source_disable_unref(w->child);
        channel_free(w->channel);
        master_call_free(w->call);
        json_decref(w->spec);
        json_decref(w->result);
        free(w->sealed);
        job_progress_done(&w->progress);
        log_ring_done(&w->ring);
        free(w->phase_sent);
        return mfree(w);
}
