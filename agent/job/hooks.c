/* SPDX-License-Identifier: Apache-2.0 */

#include <unistd.h>

#include "agent/common/hook-line.h"
#include "agent/job/hooks.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/log.h"

void job_hooks_done(JobHooks *h) {
        if (!h)
                return;
        h->fd = safe_close(h->fd);
        h->error = mfree(h->error);
}

/* What is in the environment of a job is nothing secret. */
static int open_line(const JobRun *run, int *ret_fd, Failure *reterr_failure) {
        return hook_line_open(run->hook_socket, run->hook_program, environ, ret_fd, reterr_failure);
}

static void keep_error(JobHooks *h, const char *error) {
        if (!h->error)
                h->error = strdup(error);
}

/* --- What the keeper says --------------------------------------------------------------------------- */

static const char *text_of(const json_t *message, const char *key) {
        return strempty(json_string_value(json_object_get(message, key)));
}

static void on_ran(JobHooks *h, const json_t *message) {
        const char *phase = text_of(message, "phase"), *error = text_of(message, "error");
        json_int_t took = json_integer_value(json_object_get(message, "took_ms"));

        if (isempty(error))
                job_link_log(h->run->link, LOG_INFO, "The %s hook %s ended well after %.1f s", phase,
                             text_of(message, "hook"), (double) took / 1000);
        else
                job_link_log(h->run->link, h->on_failure == HOOK_POLICY_FAIL ? LOG_ERR : LOG_WARNING,
                             "In phase %s: %s", phase, error);
}

/* The keeper is gone, and its post hooks with it: another one makes up for it, here or there. */
static int lost(JobHooks *h, Failure *reterr_failure) {
        static const char text[] = "The program that runs the hooks ended early: what they hold still may "
                                   "have changed during the backup";
        _cleanup_json_ json_t *message = hook_message_new(HOOK_MESSAGE_LEFTOVERS);
        int fd = -EBADF;

        job_link_unwatch(h->run->link);
        h->fd = safe_close(h->fd);
        keep_error(h, text);
        job_link_log(h->run->link, LOG_ERR, "%s", text);
        if (message && open_line(h->run, &fd, NULL) >= 0) {
                (void) !hook_message_send(fd, message);
                (void) safe_close(fd);
        }
        return failure_set(reterr_failure, -ECONNRESET, "HOOK_FAILED", "%s", text);
}

static int refused(const json_t *message, Failure *reterr_failure) {
        const char *code = text_of(message, "code"), *text = text_of(message, "message");

        return failure_set(reterr_failure, -EPERM, isempty(code) ? "HOOK_REFUSED" : code, "%s", text);
}

/* Reads on until a message of this type, the end of a phase, which it gives. */
static int await(JobHooks *h, HookMessage wanted, json_t **ret, Failure *reterr_failure) {
        for (;;) {
                _cleanup_json_ json_t *message = NULL;
                HookMessage type;

                if (hook_message_receive(h->fd, &message) <= 0)
                        return lost(h, reterr_failure);
                type = hook_message_type(message);
                if (type == wanted) {
                        *ret = TAKE_PTR(message);
                        return 0;
                }
                if (type == HOOK_MESSAGE_REFUSED)
                        return refused(message, reterr_failure);
                if (type == HOOK_MESSAGE_LINE)
                        job_link_log(h->run->link, LOG_INFO, "The %s hook %s: %s", text_of(message, "phase"),
                                     text_of(message, "hook"), text_of(message, "text"));
                else if (type == HOOK_MESSAGE_RAN)
                        on_ran(h, message);
        }
}

/* --- The phases ------------------------------------------------------------------------------------- */

static int await_done(JobHooks *h, Failure *reterr_failure) {
        _cleanup_json_ json_t *done = NULL;
        int r;

        r = await(h, HOOK_MESSAGE_DONE, &done, reterr_failure);
        job_link_unwatch(h->run->link);
        h->fd = safe_close(h->fd);
        if (r >= 0 && !isempty(text_of(done, "error")))
                keep_error(h, text_of(done, "error"));
        return r;
}

static int begin(JobHooks *h, const BackupSpec *spec, Failure *reterr_failure) {
        HookWork work = {
                .run = spec->run,
                .attempt = h->run->start->name.attempt,
                .task_id = spec->task_id,
                .task = spec->task_name,
                .node = spec->node_name,
                .type = (char *) source_type_to_string(spec->type),
                .hooks = spec->hooks,
        }; /* borrowed */
        _cleanup_json_ json_t *message = NULL;
        int r;

        STRV_FOREACH(name, spec->hooks.pre) {
                r = policy_check_hook(h->run->policy, *name, reterr_failure);
                if (r < 0)
                        return r;
        }
        r = hook_work_build(&work, &message);
        if (r >= 0)
                r = open_line(h->run, &h->fd, reterr_failure);
        if (r < 0)
                return r;
        r = hook_message_send(h->fd, message);
        return r < 0 ? failure_set(reterr_failure, r, "HOOKS_UNUSABLE",
                                   "The program that runs the hooks does not listen: %m") :
                       0;
}

/* The cancel goes to the keeper from the other thread: this one may be anywhere. */
static int watch_cancel(JobHooks *h) {
        _cleanup_json_ json_t *message = hook_message_new(HOOK_MESSAGE_CANCEL);
        _cleanup_(freep) char *text = NULL;
        int r;

        r = message ? json_format(message, &text, NULL) : -ENOMEM;
        return r < 0 ? r : job_link_watch(h->run->link, h->fd, text);
}

static bool is_cancelled(const JobHooks *h) {
        return atomic_load(job_link_cancelled(h->run->link));
}

void job_hooks_end(JobHooks *h, ResultStatus status) {
        _cleanup_json_ json_t *message = NULL;

        assert(h);

        if (h->fd < 0)
                return;
        message = hook_message_new(HOOK_MESSAGE_END);
        if (json_set(message, "state", json_string(result_status_to_string(status))) >= 0)
                (void) !hook_message_send(h->fd, message); /* where it cannot be sent the end is told */
        (void) !await_done(h, NULL);
}

int job_hooks_begin(const JobRun *run, const BackupSpec *spec, JobHooks *ret, Failure *reterr_failure) {
        _cleanup_json_ json_t *pre = NULL;
        JobHooks *h = ret;
        int r;

        assert(run);
        assert(spec);
        assert(ret);

        h->run = run;
        h->on_failure = spec->hooks.on_failure;
        if (!task_hooks_any(&spec->hooks))
                return 0;
        r = begin(h, spec, reterr_failure);
        if (r >= 0)
                r = watch_cancel(h);
        if (r >= 0)
                r = await(h, HOOK_MESSAGE_PRE, &pre, reterr_failure);
        if (r < 0) {
                job_link_unwatch(run->link);
                h->fd = safe_close(h->fd);
                return r;
        }
        if (!isempty(text_of(pre, "error")))
                keep_error(h, text_of(pre, "error"));
        if (json_is_true(json_object_get(pre, "go_on"))) {
                if (!is_cancelled(h))
                        return 0;
                job_hooks_end(h, RESULT_CANCELLED);
                return -ECANCELED;
        }
        (void) !await_done(h, NULL); /* the keeper goes on by itself */
        if (is_cancelled(h))
                return -ECANCELED;
        return failure_set(reterr_failure, -EIO, "HOOK_FAILED", "%s; nothing was backed up",
                           h->error ? h->error : "The hooks were ended");
}

void job_hooks_judge(const JobHooks *h, JobOutcome *o) {
        assert(h);
        assert(o);

        if (!h->error || h->on_failure == HOOK_POLICY_WARN || o->status != RESULT_SUCCEEDED)
                return;
        o->status = RESULT_PARTIAL;
        failure_done(&o->failure);
        (void) failure_set(&o->failure, -EIO, "HOOK_FAILED", "%s", h->error);
}
