/* SPDX-License-Identifier: Apache-2.0 */

/* The side of a work that faces the master: accept, progress and log, result. One request at a time; a
 * failure is tried again with full jitter, and nothing is forgotten before it was acknowledged. */

#include <errno.h>
#include <inttypes.h>

#include "agent/daemon/launch.h"
#include "agent/daemon/work.h"
#include "base/alloc.h"
#include "base/text.h"
#include "crypto/random.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/agent.h"

/* One batch of log lines; under AGENT_PROGRESS_MAX with the overhead of JSON, escapes included. */
#define BATCH_BYTES (64U << 10)

#define PATH_MAX_TEXT 80

static int ask(Work *w, const char *verb, const json_t *body, MasterDone done) {
        char path[PATH_MAX_TEXT];
        MasterRequest request = {
                .path = path,
                .body = body,
                .done = done,
                .userdata = w,
        };

        assert(w);

        snprintf(path, sizeof(path), "commands/%" PRIu64 "/%s", w->name.command, verb);
        return master_ask(agent_master(w->agent), &request, &w->call);
}

static usec_t retry_delay(Work *w, const Reply *reply) {
        usec_t delay = backoff_next(&w->backoff, random_u32());

        /* What refuses our token or our node today is not asked often. */
        if (reply && (reply->verdict == REPLY_UNAUTHORIZED || reply->verdict == REPLY_DUPLICATE))
                delay = usec_add(delay, 15 * USEC_PER_SEC);
        return MAX(delay, reply ? reply->retry_after : 0);
}

/* The master says that this is not its command's attempt, or no command. */
static void give_up(Work *w, const Reply *reply) {
        log_struct(LOG_NOTICE, NULL, WORK_FIELDS(w),
                   "Command %" PRIu64 ", attempt %" PRIu64 ", is not ours any more: %s", w->name.command,
                   w->name.attempt, strempty(reply->message));
        work_apply(w, WORK_EVENT_STALE);
}

/* --- Accept ------------------------------------------------------------------------------------------ */

static void on_accept(const Reply *reply, void *userdata) {
        Work *w = ASSERT_PTR(userdata);

        assert(reply);

        w->call = NULL;
        switch (reply->verdict) {
        case REPLY_OK:
        case REPLY_EMPTY:
                backoff_reset(&w->backoff);
                w->accepted = true;
                work_apply(w, WORK_EVENT_ACCEPTED);
                return;
        case REPLY_STALE:
        case REPLY_REFUSED:
                give_up(w, reply);
                return;
        case REPLY_RETRY:
        case REPLY_UNAUTHORIZED:
        case REPLY_DUPLICATE:
        case _REPLY_VERDICT_MAX:
        case _REPLY_VERDICT_INVALID:
                break;
        }
        (void) !event_rearm(w->timer, retry_delay(w, reply));
}

void work_accept(Work *w) {
        _cleanup_json_ json_t *body = json_pack("{s:I}", "attempt", (json_int_t) w->name.attempt);
        int r;

        assert(w);

        if (w->call)
                return;
        r = body ? ask(w, "accept", body, on_accept) : -ENOMEM;
        if (r < 0)
                (void) !event_rearm(w->timer, retry_delay(w, NULL));
}

/* --- Progress and log --------------------------------------------------------------------------------- */

static void wait_before_report(Work *w, usec_t delay) {
        w->report_waits = event_rearm(w->report_timer, delay) >= 0;
}

static void on_progress(const Reply *reply, void *userdata) {
        Work *w = ASSERT_PTR(userdata);

        assert(reply);

        w->call = NULL;
        switch (reply->verdict) {
        case REPLY_REFUSED:
                log_struct(LOG_WARNING, NULL, WORK_FIELDS(w),
                           "The master refuses a report of command %" PRIu64 ", ignoring: %s",
                           w->name.command, strempty(reply->message));
                _fallthrough_;
        case REPLY_OK:
        case REPLY_EMPTY:
                backoff_reset(&w->backoff);
                w->lines_acked = MAX(w->lines_acked, w->lines_flying);
                log_ring_drop(&w->ring, w->lines_acked);
                if (json_is_true(json_object_get(reply->data, "cancel")))
                        work_cancel(w, /* stopping= */ false);
                work_report(w);
                return;
        case REPLY_STALE:
                give_up(w, reply);
                return;
        case REPLY_RETRY:
        case REPLY_UNAUTHORIZED:
        case REPLY_DUPLICATE:
        case _REPLY_VERDICT_MAX:
        case _REPLY_VERDICT_INVALID:
                break;
        }
        w->has_progress = w->has_progress || w->progress_flying;
        wait_before_report(w, retry_delay(w, reply));
}

static int put_lines(Work *w, json_t *body) {
        json_t *lines = NULL;
        uint64_t last;
        int n;

        assert(w);

        n = log_ring_batch(&w->ring, w->lines_acked, AGENT_LOG_LINES_MAX, BATCH_BYTES, &lines, &last);
        if (n <= 0)
                return n;
        w->lines_flying = last;
        return json_set(body, "log", lines);
}

static int send_progress(Work *w) {
        _cleanup_json_ json_t *body = json_object();
        int r;

        assert(w);

        if (!body)
                return -ENOMEM;
        r = json_set(body, "attempt", json_from_u64(w->name.attempt));
        if (r >= 0 && w->has_progress)
                r = job_progress_put(&w->progress, body);
        if (r >= 0)
                r = put_lines(w, body);
        if (r >= 0)
                r = ask(w, "progress", body, on_progress);
        if (r < 0)
                return r;
        w->progress_flying = w->has_progress;
        w->has_progress = false;
        w->progress_sent = now_usec(CLOCK_MONOTONIC);
        return free_and_strdup(&w->phase_sent, w->progress.phase);
}

static void report_progress(Work *w) {
        usec_t now = now_usec(CLOCK_MONOTONIC), due = usec_add(w->progress_sent, WORK_PROGRESS_INTERVAL);
        bool phase = w->has_progress && !streq_ptr(w->phase_sent, w->progress.phase);

        if (!w->has_progress && !log_ring_has_after(&w->ring, w->lines_acked))
                return;
        if (now < due && !phase) {
                (void) !event_rearm(w->report_timer, due - now);
                return;
        }
        if (send_progress(w) < 0)
                wait_before_report(w, retry_delay(w, NULL));
}

/* --- The result ------------------------------------------------------------------------------------- */

static void on_result(const Reply *reply, void *userdata) {
        Work *w = ASSERT_PTR(userdata);
        _cleanup_(freep) char *message = NULL;

        assert(reply);

        w->call = NULL;
        switch (reply->verdict) {
        case REPLY_OK:
        case REPLY_EMPTY:
                work_apply(w, WORK_EVENT_REPORTED);
                return;
        case REPLY_STALE:
                log_struct(LOG_NOTICE, NULL, WORK_FIELDS(w),
                           "The master does not want the result of command %" PRIu64 ": %s", w->name.command,
                           strempty(reply->message));
                work_apply(w, WORK_EVENT_STALE);
                return;
        case REPLY_REFUSED:
                log_struct(LOG_ERR, NULL, WORK_FIELDS(w),
                           "The master refuses the result of command %" PRIu64 ": %s", w->name.command,
                           strempty(reply->message));
                if (w->reduced) {
                        work_apply(w, WORK_EVENT_REPORTED);
                        return;
                }
                /* Once more, without what it may have stumbled over: the run must not stay open. */
                w->reduced = true;
                log_ring_done(&w->ring);
                (void) !asprintf_safe(&message, "The master refused the job's result: %s",
                                      strempty(reply->message));
                work_set_failure(w, "failed", "RESULT_REFUSED", strempty(message));
                work_report(w);
                return;
        case REPLY_RETRY:
        case REPLY_UNAUTHORIZED:
        case REPLY_DUPLICATE:
        case _REPLY_VERDICT_MAX:
        case _REPLY_VERDICT_INVALID:
                break;
        }
        wait_before_report(w, retry_delay(w, reply));
}

/* Lines that do not go into the result are sent before it: with it they would be forgotten. */
static bool lines_first(const Work *w) {
        return !log_ring_fits(&w->ring, w->lines_acked, AGENT_LOG_LINES_MAX, BATCH_BYTES);
}

static int send_result(Work *w) {
        _cleanup_json_ json_t *body = NULL;
        int r;

        assert(w);

        if (!w->result)
                work_set_failure(w, "failed", "JOB_FAILED", "The job left no result");
        if (!w->result)
                return -ENOMEM;
        body = json_copy(w->result);
        if (!body)
                return -ENOMEM;
        r = json_set(body, "attempt", json_from_u64(w->name.attempt));
        if (r >= 0)
                r = put_lines(w, body);
        return r < 0 ? r : ask(w, "result", body, on_result);
}

void work_report(Work *w) {
        int r;

        assert(w);

        if (w->call || w->report_waits)
                return;
        switch (w->state) {
        case WORK_RUNNING:
                if (!launch_is_probe(w->kind))
                        report_progress(w);
                return;
        case WORK_REPORTING:
                r = lines_first(w) ? send_progress(w) : send_result(w);
                if (r < 0)
                        wait_before_report(w, retry_delay(w, NULL));
                return;
        case WORK_ACCEPTING:
        case WORK_WAITING:
        case WORK_STARTING:
        case WORK_ORPHANED:
        case WORK_LOST:
        case WORK_DISCARDING:
        case WORK_ENDED:
        case _WORK_STATE_MAX:
        case _WORK_STATE_INVALID:
                return;
        }
}

/* On disk before the job is told that it may forget it. */
void work_save_result(Work *w) {
        _cleanup_json_ json_t *copy = NULL;
        json_t *lines = NULL;
        uint64_t last;
        int r;

        assert(w);

        if (!launch_is_probe(w->kind) && w->result) {
                copy = json_copy(w->result);
                r = copy ? 0 : -ENOMEM;
                if (r >= 0 && log_ring_rest(&w->ring, w->lines_acked, &lines, &last) > 0)
                        r = json_set(copy, "log", lines);
                if (r >= 0)
                        r = result_save(agent_results_fd(w->agent), w->name, copy);
                if (r < 0) {
                        /* The job keeps it, then, as long as it waits for us. */
                        log_struct_errno(LOG_ERR, r, NULL, WORK_FIELDS(w),
                                         "The result of command %" PRIu64 " cannot be kept on disk: %m",
                                         w->name.command);
                        return;
                }
        }
        if (w->channel)
                (void) !channel_send_type(w->channel, JOB_ACK);
}
