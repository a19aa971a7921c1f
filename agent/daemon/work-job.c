/* SPDX-License-Identifier: Apache-2.0 */

/* The side of a work that faces its job: starting it, its line, its signs of life, its end. */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/daemon/check.h"
#include "agent/daemon/job-context.h"
#include "agent/daemon/launch.h"
#include "agent/daemon/work.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/result.h"

/* A job that closed its line is about to end. */
#define FIRST_LOOK (50 * USEC_PER_MSEC)

/* --- The line ---------------------------------------------------------------------------------------- */

void work_close_line(Work *w) {
        char name[WORK_NAME_MAX];

        assert(w);

        if (w->kept)
                fd_store_remove(work_name_format(name, w->name, ""));
        w->kept = false;
        w->channel = channel_free(w->channel);
}

static int add_secrets(const Work *w, json_t *message) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        json_t *secrets;
        int r;

        assert(w);

        if (isempty(w->sealed))
                return 0;
        r = unseal(agent_identity(w->agent), w->sealed, &plain);
        if (r < 0)
                return r;
        r = json_parse_strict(plain.data, plain.size, JSON_DEPTH_DEFAULT, &secrets,
                              /* reterr_failure= */ NULL);
        return r < 0 ? r : json_set(message, "secrets", secrets);
}

/* What a job adds its own findings to. */
static int add_checks(const Work *w, json_t *message) {
        json_t *items = NULL;
        int r;

        if (w->kind != COMMAND_SELF_CHECK)
                return 0;
        r = agent_check_items(w->agent, &items);
        return r < 0 ? r : json_set(message, "checks", items);
}

/* Each job gets an equal share; what others leave unused is not given away. */
void work_tell_limits(Work *w) {
        _cleanup_json_ json_t *message = NULL;
        uint64_t bandwidth;

        assert(w);

        bandwidth = agent_bandwidth_share(w->agent);
        if (launch_is_probe(w->kind) || w->state != WORK_RUNNING || !w->channel || w->bandwidth == bandwidth)
                return;
        message = job_message_new(JOB_LIMITS);
        if (!message || json_set(message, "bandwidth", json_from_u64(bandwidth)) < 0 ||
            channel_send(w->channel, message) < 0)
                log_struct(LOG_WARNING, NULL, WORK_FIELDS(w),
                           "The job of command %" PRIu64 " cannot be told its bandwidth, ignoring",
                           w->name.command);
        else
                w->bandwidth = bandwidth;
}

/* The lock goes along with the orders: the job lives from the moment they are sent. */
static int send_start(Work *w, pid_t pid) {
        _cleanup_json_ json_t *message = job_message_new(JOB_START);
        _cleanup_close_ int lock = -EBADF;
        json_t *context = NULL;
        int r;

        assert(w);

        if (!message)
                return -ENOMEM;
        r = json_set(message, "command", json_from_u64(w->name.command));
        if (r >= 0)
                r = json_set(message, "attempt", json_from_u64(w->name.attempt));
        if (r >= 0)
                r = json_set(message, "kind", json_string(command_kind_to_string(w->kind)));
        if (r >= 0)
                r = json_set(message, "deadline",
                             json_from_time(w->deadline > 0 ? w->deadline : USEC_INFINITY));
        if (r >= 0)
                r = json_set(message, "spec", json_incref(w->spec));
        if (r >= 0)
                r = job_context_build(w->agent, &context);
        if (r >= 0)
                r = json_set(message, "context", context);
        if (r >= 0)
                r = add_checks(w, message);
        if (r < 0)
                return r;
        r = add_secrets(w, message);
        if (r < 0) {
                work_set_failure(w, "failed", "SECRETS_UNREADABLE",
                                 "The secrets of the command are not sealed to this node's key");
                return r;
        }
        if (launch_is_probe(w->kind))
                return channel_send(w->channel, message);
        lock = job_lock_take(agent_results_fd(w->agent), w->name, pid);
        return lock < 0 ? lock : channel_send_with_fd(w->channel, message, lock);
}

void work_end_todo(Work *w) {
        int r;

        assert(w);

        r = work_todo_end(agent_results_fd(w->agent), w->name);
        if (r < 0)
                log_struct_errno(LOG_WARNING, r, NULL, WORK_FIELDS(w),
                                 "The note that command %" PRIu64 " is not begun cannot be removed: %m",
                                 w->name.command);
}

static void on_drained(Channel *c, void *userdata) {
        Work *w = ASSERT_PTR(userdata);

        if (!launch_is_probe(w->kind))
                work_end_todo(w);
}

static void on_hello(Work *w, const json_t *message) {
        json_int_t pid = json_integer_value(json_object_get(message, "pid"));
        char name[WORK_NAME_MAX];
        int r;

        assert(w);

        if (w->state != WORK_STARTING || w->greeted)
                return;
        w->greeted = true;
        /* Before the start, which makes it live on without us. */
        if (!launch_is_probe(w->kind)) {
                fd_store_add(channel_fd(w->channel), work_name_format(name, w->name, ""));
                w->kept = true;
        }
        r = send_start(w, pid > 1 && pid <= INT32_MAX ? (pid_t) pid : 0);
        if (r < 0) {
                log_struct_errno(LOG_ERR, r, NULL, WORK_FIELDS(w),
                                 "Command %" PRIu64 " cannot be handed to its job: %m", w->name.command);
                if (!w->result)
                        work_set_failure(w, "failed", "JOB_NOT_STARTED", "The job did not take its orders");
                work_close_line(w);
                work_apply(w, WORK_EVENT_NOT_STARTED);
                return;
        }
        if (channel_queued(w->channel) == 0)
                on_drained(w->channel, w);
        w->sealed = erase_and_free(w->sealed);
        w->bandwidth = agent_bandwidth_share(w->agent);
        work_apply(w, WORK_EVENT_HELLO);
        if (launch_is_probe(w->kind))
                (void) !event_rearm(w->timer, WORK_PROBE_LIMIT);
        if (w->cancelled)
                work_cancel_job(w);
}

static void take_progress(Work *w, const json_t *message) {
        JobProgress progress = JOB_PROGRESS_NULL;
        JsonReader reader;

        assert(w);

        (void) json_reader_init(&reader, message, NULL);
        if (job_progress_read(&reader, &progress) < 0 || json_reader_finish_lenient(&reader) < 0) {
                job_progress_done(&progress);
                return;
        }
        job_progress_done(&w->progress);
        w->progress = progress;
        w->has_progress = true;
        work_report(w);
}

/* Keeps the three fields of a result. */
static int take_result(Work *w, const json_t *message) {
        assert(w);

        static const char *const fields[] = { "status", "error", "result" };
        _cleanup_json_ json_t *result = json_object();

        if (!result)
                return -ENOMEM;
        if (result_status_from_string(json_string_value(json_object_get(message, "status"))) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                json_t *value = json_object_get(message, fields[i]);

                if (value && json_set(result, fields[i], json_incref(value)) < 0)
                        return -ENOMEM;
        }
        json_decref(w->result);
        w->result = TAKE_PTR(result);
        return 0;
}

static void on_message(Channel *c, const json_t *message, void *userdata) {
        Work *w = ASSERT_PTR(userdata);

        switch (job_message_type(message)) {
        case JOB_HELLO:
                on_hello(w, message);
                break;
        case JOB_PROGRESS:
                take_progress(w, message);
                break;
        case JOB_LOG:
                if (log_ring_read(&w->ring, json_object_get(message, "lines")) >= 0)
                        work_report(w);
                break;
        case JOB_RESULT:
                if (take_result(w, message) >= 0)
                        work_apply(w, WORK_EVENT_RESULT);
                break;
        case JOB_START:
        case JOB_CANCEL:
        case JOB_ACK:
        case JOB_SYNC:
        case JOB_LIMITS:
        case _JOB_MESSAGE_MAX:
        case _JOB_MESSAGE_INVALID:
                break;
        }
        if (w->state == WORK_RUNNING && w->channel && channel_is_synced(w->channel) && !w->cancelled &&
            !launch_is_probe(w->kind))
                (void) !event_rearm(w->timer, USEC_INFINITY); /* the mark of a restarted agent came */
}

static void retry_launch(Work *w, const char *why) {
        _cleanup_(freep) char *message = NULL;

        assert(w);

        work_close_line(w);
        if (w->launches < WORK_LAUNCH_TRIES) {
                usec_t delay = backoff_next(&w->launch_backoff, random_u32());

                log_struct(LOG_NOTICE, NULL, WORK_FIELDS(w),
                           "The job of command %" PRIu64 " was not started (%s), "
                           "trying again",
                           w->name.command, why);
                if (event_rearm(w->timer, delay) >= 0)
                        return;
        }
        (void) !asprintf_safe(&message, "No job could be started for the command: %s", why);
        work_set_failure(w, "failed", "JOB_NOT_STARTED", message ? message : why);
        work_apply(w, WORK_EVENT_NOT_STARTED);
}

static void on_end(Channel *c, int error, void *userdata) {
        Work *w = ASSERT_PTR(userdata);

        if (error < 0)
                log_struct_errno(LOG_WARNING, error, NULL, WORK_FIELDS(w),
                                 "The line to the job of command %" PRIu64 " broke: %m", w->name.command);
        switch (w->state) {
        case WORK_STARTING:
                retry_launch(w, "it ended before it said hello");
                break;
        case WORK_RUNNING:
                work_apply(w, WORK_EVENT_LINE_LOST);
                break;
        case WORK_DISCARDING:
                work_close_line(w);
                work_apply(w, WORK_EVENT_GONE);
                break;
        case WORK_ACCEPTING:
        case WORK_WAITING:
        case WORK_ORPHANED:
        case WORK_LOST:
        case WORK_REPORTING:
        case WORK_ENDED:
        case _WORK_STATE_MAX:
        case _WORK_STATE_INVALID:
                work_close_line(w);
                break;
        }
}

static const ChannelHandlers line_handlers = {
        .on_message = on_message,
        .on_end = on_end,
        .on_drained = on_drained,
};

int work_open_line(Work *w, int fd) {
        int r;

        assert(w);

        r = fd_set_nonblock(fd, true);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        return channel_new(agent_event(w->agent), fd, &line_handlers, w, &w->channel);
}

/* --- Starting --------------------------------------------------------------------------------------------
 */

static int on_child(sd_event_source *source, const siginfo_t *si, void *userdata) {
        Work *w = ASSERT_PTR(userdata);

        assert(si);

        if (si->si_code != CLD_EXITED)
                log_struct(LOG_WARNING, NULL, WORK_FIELDS(w),
                           "The job of command %" PRIu64 " was ended by signal %d", w->name.command,
                           si->si_status);
        w->pid = 0;
        w->child = sd_event_source_disable_unref(w->child);
        return 0;
}

static void watch_child(Work *w, pid_t pid, int pidfd) {
        int r = pidfd;

        assert(w);

        w->pid = pid;
        if (pid <= 0)
                return;
        w->child = sd_event_source_disable_unref(w->child);
        if (pidfd >= 0)
                r = sd_event_add_child_pidfd(agent_event(w->agent), &w->child, pidfd, WEXITED, on_child, w);
        if (r >= 0)
                r = sd_event_source_set_child_pidfd_own(w->child, true);
        if (r < 0)
                log_warning_errno(r, "Job %d cannot be watched, ignoring: %m", (int) pid);
}

/* Called for each try; and, while one is under way, when its hello did not come. */
void work_launch(Work *w) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int fd = -EBADF, pidfd = -EBADF, r;
        pid_t pid = 0;

        assert(w);

        if (w->channel) {
                retry_launch(w, "it did not say hello in time");
                return;
        }
        w->launches++;
        w->greeted = false;
        r = launch_job(agent_options(w->agent), w->kind, &fd, &pid, &pidfd, &failure);
        if (r >= 0) {
                watch_child(w, pid, pidfd);
                r = work_open_line(w, fd);
        }
        if (r >= 0)
                r = event_rearm(w->timer, WORK_HELLO_TIMEOUT);
        if (r < 0)
                retry_launch(w, failure_message(&failure, r));
}

/* --- Signs of life ----------------------------------------------------------------------------------- */

bool work_job_lives(Work *w, pid_t *ret_pid) {
        assert(w);
        assert(ret_pid);

        *ret_pid = 0;
        return job_lock_probe(agent_results_fd(w->agent), w->name, ret_pid) > 0;
}

bool work_take_result_file(Work *w) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *file = NULL;
        int r;

        assert(w);

        r = result_load(agent_results_fd(w->agent), w->name, &file, &failure);
        if (r == -ENOENT)
                return false;
        if (r >= 0) {
                (void) !log_ring_read(&w->ring, json_object_get(file, "log"));
                r = take_result(w, file);
        }
        if (r < 0) {
                log_struct_errno(LOG_ERR, r, NULL, WORK_FIELDS(w),
                                 "The result file of command %" PRIu64 " cannot be used: %s",
                                 w->name.command, failure_message(&failure, r));
                work_set_failure(w, "failed", "RESULT_UNREADABLE",
                                 "The job ended, but its result file cannot be read");
        }
        return true;
}

static void kill_job(Work *w, int number) {
        pid_t pid = w->pid;

        if (pid <= 0 && !work_job_lives(w, &pid))
                return;
        if (pid > 1 && kill(pid, number) < 0 && errno != ESRCH)
                log_struct_errno(LOG_WARNING, errno, NULL, WORK_FIELDS(w),
                                 "The job of command %" PRIu64 " cannot be sent signal %d: %m",
                                 w->name.command, number);
}

void work_cancel_job(Work *w) {
        assert(w);

        log_struct(LOG_INFO, NULL, WORK_FIELDS(w), "Cancelling command %" PRIu64, w->name.command);
        if (!w->channel || channel_send_type(w->channel, JOB_CANCEL) < 0)
                kill_job(w, SIGTERM);
        (void) !event_rearm(w->timer, w->channel ? WORK_CANCEL_PATIENCE : FIRST_LOOK);
}

static void look_at_running(Work *w) {
        assert(w);

        if (!channel_is_synced(w->channel)) {
                /* An old line that cannot be used: the job is watched from outside. */
                work_apply(w, WORK_EVENT_LINE_LOST);
                return;
        }
        if (!w->cancelled) {
                /* Nobody waits for its answer any more, whether we were told or not. */
                if (launch_is_probe(w->kind))
                        work_cancel(w, /* stopping= */ false);
                return;
        }
        log_struct(LOG_WARNING, NULL, WORK_FIELDS(w),
                   "The job of command %" PRIu64 " does not end, killing it", w->name.command);
        kill_job(w, SIGKILL);
        (void) !event_rearm(w->timer, WORK_CANCEL_PATIENCE);
}

void work_look_for_orphan(Work *w) {
        pid_t pid;

        assert(w);

        if (w->channel && w->state == WORK_RUNNING) {
                look_at_running(w);
                return;
        }
        if (w->channel) /* discarding, and patience ended */
                kill_job(w, SIGKILL);
        if (work_job_lives(w, &pid)) {
                (void) !event_rearm(w->timer, w->looked ? WORK_ORPHAN_INTERVAL : FIRST_LOOK);
                w->looked = true;
                return;
        }
        /* The lock first: whoever leaves a result leaves it before it lets go of the lock. */
        work_apply(w, work_take_result_file(w) ? WORK_EVENT_RESULT : WORK_EVENT_GONE);
}
