/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/common/channel.h"
#include "agent/job/feed.h"
#include "agent/job/job.h"
#include "agent/job/kinds.h"
#include "agent/job/weights.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/feature.h"

typedef enum JobState {
        JOB_STATE_WAITING,
        JOB_STATE_WORKING,
        JOB_STATE_HANDING,
        JOB_STATE_ENDED,
} JobState;

struct Job {
        sd_event *event;
        JobState state;
        Channel *channel; /* NULL: the agent is gone */
        sd_event_source *timeout;
        sd_event_source *progress_timer;
        sd_event_source *news;
        char *policy_path;
        char *storage_dir;
        char *cache_dir;
        char *staging_dir;
        char *tools_path;
        const char *hook_program, *hook_socket;

        JobStart start;
        Policy policy;
        JobKindFunc function;
        int lock_fd;
        int results_fd;
        JobLink *link;
        JobRun run;
        Pace pace;
        pthread_t worker;
        bool has_worker;

        Feed feed;
        json_t *result; /* the message, once there is one */
};

static void job_end(Job *j, int status) {
        j->state = JOB_STATE_ENDED;
        (void) sd_event_exit(j->event, status);
}

/* --- Towards the agent -------------------------------------------------------------------------------- */

static void send_lines(Job *j) {
        if (j->channel)
                feed_send_lines(&j->feed, j->link, j->channel);
}

static void offer_progress(Job *j) {
        usec_t wait = feed_offer_progress(&j->feed, j->link, j->channel);

        if (wait > 0)
                (void) !event_rearm(j->progress_timer, wait);
}

/* --- The result ------------------------------------------------------------------------------------- */

/* Into results/, for the agent to find, with what it has not read of the log. */
static void leave_result(Job *j) {
        _cleanup_json_ json_t *copy = json_copy(j->result);
        json_t *lines = NULL;
        int r;

        r = copy ? json_object_del(copy, "type") : -1;
        if (r >= 0 && job_link_rest(j->link, j->feed.lines_sent, &lines) > 0)
                r = json_set(copy, "log", lines);
        r = r < 0 ? -ENOMEM : result_save(j->results_fd, j->start.name, copy);
        if (r < 0)
                log_error_errno(r,
                                "The result of command %" PRIu64
                                " cannot be written to %s, and no agent takes "
                                "it: %m",
                                j->start.name.command, j->start.context.results_dir);
        job_end(j, r < 0 ? 1 : 0);
}

static void send_result(Job *j) {
        int r;

        send_lines(j);
        r = channel_send(j->channel, j->result);
        if (r < 0 && r != -EPIPE)
                log_warning_errno(r, "The result cannot be sent: %m");
        if (event_rearm(j->timeout, JOB_ACK_TIMEOUT) < 0)
                leave_result(j);
}

static void finish(Job *j) {
        _cleanup_(job_outcome_done) JobOutcome o = JOB_OUTCOME_NULL;
        int r;

        assert(j);

        (void) pthread_join(j->worker, NULL);
        j->has_worker = false;
        j->state = JOB_STATE_HANDING;
        job_link_take_outcome(j->link, &o);
        command_secrets_done(&j->start.secrets);
        r = job_outcome_message(&o, &j->result);
        if (r < 0) {
                log_error_errno(r, "The result cannot be put together: %m");
                job_end(j, 1);
                return;
        }
        if (j->channel)
                send_result(j);
        else
                leave_result(j);
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        job_link_clear(j->link);
        feed_journal(&j->feed, j->link, &j->start);
        send_lines(j);
        if (j->state != JOB_STATE_WORKING)
                return 0;
        offer_progress(j);
        if (job_link_is_finished(j->link))
                finish(j);
        return 0;
}

static int on_progress_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        if (j->state == JOB_STATE_WORKING)
                offer_progress(j);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        if (j->state == JOB_STATE_WAITING) {
                log_warning("The agent sent nothing to do within %u s",
                            (unsigned) (JOB_START_TIMEOUT / USEC_PER_SEC));
                job_end(j, 1);
        } else if (j->state == JOB_STATE_HANDING)
                leave_result(j);
        return 0;
}

/* --- Starting ------------------------------------------------------------------------------------------ */

static void *work(void *userdata) {
        Job *j = ASSERT_PTR(userdata);
        JobOutcome o = JOB_OUTCOME_NULL;

        j->function(&j->run, &o);
        job_link_finish(j->link, &o);
        return NULL;
}

/* The worker gets no signal: they are the loop's. */
static int start_worker(Job *j) {
        int r;

        r = pthread_create(&j->worker, NULL, work, j);
        if (r != 0)
                return -r;
        j->has_worker = true;
        return 0;
}

static int prepare(Job *j, Failure *reterr_failure) {
        int r;

        assert(j);

        r = spec_check_needs(j->start.spec, reterr_failure);
        if (r < 0)
                return r;
        r = policy_load(j->policy_path, &j->policy, reterr_failure);
        if (r < 0 && j->start.kind != COMMAND_SELF_CHECK) /* which has it among its findings */
                return r;
        j->function = job_kind_function(j->start.kind);
        if (!j->function)
                return failure_set(reterr_failure, -EOPNOTSUPP, "KIND_UNSUPPORTED",
                                   "This agent (version %s) cannot do '%s'", BACKUPX_VERSION,
                                   command_kind_to_string(j->start.kind));
        j->run = (JobRun){
                .start = &j->start,
                .policy = &j->policy,
                .storage_dir = j->storage_dir,
                .staging_dir = j->staging_dir,
                .tools_path = j->tools_path,
                .cache_dir = j->cache_dir,
                .hook_program = j->hook_program,
                .hook_socket = j->hook_socket,
                .link = j->link,
                .pace = &j->pace,
        };
        pace_set(&j->pace, j->start.context.bandwidth);
        weights_apply(j->start.context.cpu_weight, j->start.context.io_weight);
        notify_status("%s, command %" PRIu64 ", attempt %" PRIu64, command_kind_to_string(j->start.kind),
                      j->start.name.command, j->start.name.attempt);
        return start_worker(j);
}

/* Ends a job that could not begin. */
static void refuse(Job *j, Failure *failure, int error) {
        JobOutcome o = JOB_OUTCOME_NULL;
        int r;

        assert(j);

        if (!failure_is_set(failure))
                (void) failure_set(failure, error, "JOB_FAILED", "The job cannot be started: %m");
        log_error("%s", failure_message(failure, error));
        o.failure = *failure;
        *failure = FAILURE_NULL;
        r = job_outcome_message(&o, &j->result);
        job_outcome_done(&o);
        if (r < 0 || !j->channel) {
                job_end(j, 1);
                return;
        }
        j->state = JOB_STATE_HANDING;
        send_result(j);
}

static int open_results(Job *j, Failure *reterr_failure) {
        assert(j);

        /* The agent's own question: nothing of it outlives the line. */
        if (j->start.name.command == 0)
                return 0;
        j->results_fd = open(j->start.context.results_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (j->results_fd < 0)
                return failure_set(reterr_failure, -errno, "RESULTS_UNUSABLE",
                                   "The folder %s cannot be opened: %m", j->start.context.results_dir);
        j->lock_fd = channel_take_fd(j->channel);
        if (j->lock_fd < 0)
                j->lock_fd = job_lock_take(j->results_fd, j->start.name, getpid());
        if (j->lock_fd < 0)
                return failure_set(reterr_failure, j->lock_fd, "RESULTS_UNUSABLE",
                                   j->lock_fd == -EBUSY ? "This very job runs already in %s" :
                                                          "No lock can be made in %s: %m",
                                   j->start.context.results_dir);
        return 0;
}

static void on_start(Job *j, const json_t *message) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(j);

        if (j->state != JOB_STATE_WAITING)
                return; /* a repeat */
        (void) !event_rearm(j->timeout, USEC_INFINITY);
        r = job_start_parse(message, &j->start, &failure);
        if (r >= 0)
                r = open_results(j, &failure);
        if (r >= 0)
                r = prepare(j, &failure);
        if (r < 0)
                refuse(j, &failure, r);
        else
                j->state = JOB_STATE_WORKING;
}

/* --- From the agent ----------------------------------------------------------------------------------- */

static void on_cancel(Job *j) {
        if (j->state == JOB_STATE_WAITING)
                job_end(j, 0);
        else
                job_link_cancel(j->link);
}

/* Its share of what the node may send. */
static void on_limits(Job *j, const json_t *message) {
        json_int_t bandwidth = json_integer_value(json_object_get(message, "bandwidth"));

        pace_set(&j->pace, bandwidth > 0 ? (uint64_t) bandwidth : 0);
}

/* A restarted agent looks for the mark, and may have lost what it had read before it ended. */
static void on_sync(Job *j, const json_t *message) {
        assert(j);

        if (channel_send(j->channel, message) < 0)
                return;
        if (j->state == JOB_STATE_WAITING) {
                /* The start message of the agent before was cut off: nothing was done. */
                job_end(j, 0);
                return;
        }
        feed_rewind(&j->feed);
        if (j->state == JOB_STATE_HANDING)
                send_result(j);
        else {
                send_lines(j);
                offer_progress(j);
        }
}

static void on_message(Channel *c, const json_t *message, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        switch (job_message_type(message)) {
        case JOB_START:
                on_start(j, message);
                break;
        case JOB_CANCEL:
                on_cancel(j);
                break;
        case JOB_ACK:
                if (j->state == JOB_STATE_HANDING)
                        job_end(j, 0);
                break;
        case JOB_SYNC:
                on_sync(j, message);
                break;
        case JOB_LIMITS:
                on_limits(j, message);
                break;
        case JOB_HELLO:
        case JOB_PROGRESS:
        case JOB_LOG:
        case JOB_RESULT:
        case _JOB_MESSAGE_MAX:
        case _JOB_MESSAGE_INVALID:
                break; /* of another version, or nonsense */
        }
}

/* A probe answers somebody who waits; what it finds later interests nobody. */
static bool answers_somebody(const Job *j) {
        assert(j);

        switch (j->start.kind) {
        case COMMAND_LIST_DIR:
        case COMMAND_DISCOVER_DATABASES:
        case COMMAND_RCLONE_BACKENDS:
        case COMMAND_TEST_STORAGE:
        case COMMAND_TEST_TASK:
        case COMMAND_BROWSE:
        case COMMAND_SELF_CHECK:
        case COMMAND_READ_FILE:
                return true;
        case COMMAND_BACKUP:
        case COMMAND_RESTORE:
        case COMMAND_VERIFY:
        case COMMAND_PRUNE:
        case _COMMAND_KIND_MAX:
        case _COMMAND_KIND_INVALID:
                return false;
        }
        return false;
}

static void on_end(Channel *c, int error, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        j->channel = channel_free(j->channel);
        if (j->state != JOB_STATE_ENDED && answers_somebody(j)) {
                job_end(j, 0);
                return;
        }
        switch (j->state) {
        case JOB_STATE_WAITING:
                job_end(j, 0);
                break;
        case JOB_STATE_WORKING:
                log_notice("The agent is gone; the job goes on and leaves its result in %s",
                           j->start.context.results_dir);
                break;
        case JOB_STATE_HANDING:
                leave_result(j);
                break;
        case JOB_STATE_ENDED:
                break;
        }
}

static void on_drained(Channel *c, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        send_lines(j);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        log_notice("Received signal %u, cancelling", si->ssi_signo);
        on_cancel(j);
        return 0;
}

/* --- Making ------------------------------------------------------------------------------------------ */

static const ChannelHandlers job_handlers = {
        .on_message = on_message,
        .on_end = on_end,
        .on_drained = on_drained,
};

static int say_hello(Job *j) {
        _cleanup_json_ json_t *hello = job_message_new(JOB_HELLO);
        int r;

        assert(j);

        if (!hello)
                return -ENOMEM;
        r = json_set(hello, "protocol", json_from_u64(JOB_PROTOCOL));
        if (r >= 0)
                r = json_set(hello, "version", json_string(BACKUPX_VERSION));
        if (r >= 0)
                r = json_set(hello, "pid", json_from_u64((uint64_t) getpid()));
        return r < 0 ? r : channel_send(j->channel, hello);
}

static int add_sources(Job *j) {
        int r;

        assert(j);

        r = event_add_timer(j->event, &j->timeout, JOB_START_TIMEOUT, on_timeout, j);
        if (r >= 0)
                r = event_add_timer(j->event, &j->progress_timer, USEC_INFINITY, on_progress_timer, j);
        if (r >= 0)
                r = sd_event_add_io(j->event, &j->news, job_link_fd(j->link), EPOLLIN, on_news, j);
        if (r >= 0)
                r = sd_event_add_signal(j->event, NULL, SIGTERM, on_signal, j);
        if (r >= 0)
                r = sd_event_add_signal(j->event, NULL, SIGINT, on_signal, j);
        return r;
}

int job_new(sd_event *event, const JobArgs *args, Job **ret) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_(job_freep) Job *j = NULL;
        int r;

        assert(event);
        assert(args);
        assert(ret);

        fd = args->fd;
        j = new0(Job, 1);
        if (!j)
                return -ENOMEM;
        j->event = sd_event_ref(event);
        j->pace = (Pace) PACE_INIT;
        j->hook_program = args->hook_program;
        j->hook_socket = args->hook_socket;
        j->lock_fd = j->results_fd = -EBADF;
        r = free_and_strdup(&j->policy_path, args->policy_path);
        if (r >= 0)
                r = free_and_strdup(&j->storage_dir, args->storage_dir);
        if (r >= 0)
                r = free_and_strdup(&j->staging_dir, args->staging_dir);
        if (r >= 0)
                r = free_and_strdup(&j->tools_path, args->tools_path);
        if (r >= 0)
                r = free_and_strdup(&j->cache_dir, args->cache_dir);
        if (r >= 0)
                r = job_link_new(&j->link);
        if (r >= 0)
                r = add_sources(j);
        if (r >= 0)
                r = channel_new(event, TAKE_FD(fd), &job_handlers, j, &j->channel);
        if (r >= 0)
                r = say_hello(j);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(j);
        return 0;
}

bool job_is_busy(const Job *j) {
        assert(j);
        return j->has_worker;
}

Job *job_free(Job *j) {
        if (!j)
                return NULL;

        assert(!j->has_worker);
        channel_free(j->channel);
        sd_event_source_disable_unref(j->timeout);
        sd_event_source_disable_unref(j->progress_timer);
        sd_event_source_disable_unref(j->news);
        job_link_free(j->link);
        job_start_done(&j->start);
        policy_done(&j->policy);
        feed_done(&j->feed);
        json_decref(j->result);
        free(j->policy_path);
        free(j->storage_dir);
        free(j->staging_dir);
        free(j->tools_path);
        free(j->cache_dir);
        safe_close(j->results_fd);
        safe_close(j->lock_fd); /* last: until here the job lives */
        sd_event_unref(j->event);
        return mfree(j);
}
