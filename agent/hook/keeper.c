/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/common/hook-line.h"
#include "agent/common/policy.h"
#include "agent/common/results.h"
#include "agent/hook/execute.h"
#include "agent/hook/keeper.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/log.h"

/* For the first message. */
#define BEGIN_TIMEOUT (30 * USEC_PER_SEC)
/* Text of a message. */
#define TEXT_MAX 4096U
#define ENVIRONMENT_MAX 24U

/* What post hooks are told of the run, beside the words that a job says: its line ended. */
#define STATE_INTERRUPTED "interrupted"

enum {
        FD_LINE,
        FD_SIGNALS,
        _FDS
};

typedef struct Keeper {
        const KeeperArgs *args;
        int fds[_FDS]; /* negative: the job is gone; told to end */
        bool stuck;    /* the job does not read */
        bool cancelled;
        bool in_post;
        char *state; /* that the job told at its end; NULL: not yet */
        Policy policy;
        HookWork work;
        int state_fd;
        int lock_fd;
        WorkName note;
        bool noted;
        /* Of the phase. */
        const char *phase;
        const char *hook;
        unsigned failed;
        char *error; /* the first one */
} Keeper;

static void keeper_done(Keeper *k) {
        assert(k);

        safe_close(k->fds[FD_LINE]);
        free(k->state);
        policy_done(&k->policy);
        hook_work_done(&k->work);
        safe_close(k->state_fd);
        safe_close(k->lock_fd);
        free(k->error);
}

static void keeper_init(Keeper *k, const KeeperArgs *args) {
        *k = (Keeper){
                .args = args,
                .fds = { [FD_LINE] = args->line, [FD_SIGNALS] = args->signals },
                .work = HOOK_WORK_NULL,
                .state_fd = -EBADF,
                .lock_fd = -EBADF,
        };
}

/* --- Towards the job -------------------------------------------------------------------------------- */

/* A job that does not listen is not waited for twice. */
static void tell(Keeper *k, json_t *message) {
        int r;

        if (k->fds[FD_LINE] >= 0 && !k->stuck && message) {
                r = hook_message_send(k->fds[FD_LINE], message);
                if (r == -EAGAIN)
                        k->stuck = true;
        }
        json_decref(message);
}

static json_t *message_of_hook(const Keeper *k, HookMessage type) {
        _cleanup_json_ json_t *m = hook_message_new(type);

        if (json_set(m, "hook", json_string(k->hook)) < 0 || json_set(m, "phase", json_string(k->phase)) < 0)
                return NULL;
        return TAKE_PTR(m);
}

static void on_line(void *userdata, const char *text) {
        Keeper *k = ASSERT_PTR(userdata);
        _cleanup_json_ json_t *m = message_of_hook(k, HOOK_MESSAGE_LINE);
        json_t *said = json_string(text);

        /* Not of UTF-8: every byte that could be none becomes a question mark. */
        if (!said) {
                _cleanup_(freep) char *plain = strdup(text);

                for (char *p = plain; p && *p; p++)
                        if ((unsigned char) *p >= 0x80)
                                *p = '?';
                said = plain ? json_string(plain) : NULL;
        }
        log_info("%s hook %s: %s", k->phase, k->hook, text);
        if (json_set(m, "text", said) >= 0)
                tell(k, TAKE_PTR(m));
}

static void tell_ran(Keeper *k, const char *error, usec_t took) {
        _cleanup_json_ json_t *m = message_of_hook(k, HOOK_MESSAGE_RAN);

        if (json_set(m, "error", json_from_string(error)) >= 0 &&
            json_set(m, "took_ms", json_from_u64(took / USEC_PER_MSEC)) >= 0)
                tell(k, TAKE_PTR(m));
}

static void tell_phase(Keeper *k, HookMessage type, bool go_on) {
        _cleanup_json_ json_t *m = hook_message_new(type);

        if (json_set(m, "go_on", json_boolean(go_on)) >= 0 &&
            json_set(m, "error", json_from_string(k->error)) >= 0)
                tell(k, TAKE_PTR(m));
}

static void tell_refusal(Keeper *k, const Failure *failure, int error) {
        _cleanup_json_ json_t *m = hook_message_new(HOOK_MESSAGE_REFUSED);
        const char *code = failure_is_set(failure) ? failure->code : "HOOKS_UNUSABLE";

        log_error("%s", failure_message(failure, error));
        if (json_set(m, "code", json_string(code)) >= 0 &&
            json_set(m, "message", json_string(failure_message(failure, error))) >= 0)
                tell(k, TAKE_PTR(m));
}

/* --- From the job ----------------------------------------------------------------------------------- */

static void take_end(Keeper *k, const json_t *message) {
        const char *state = json_string_value(json_object_get(message, "state"));

        /* It becomes a line of an environment. */
        for (const char *p = strempty(state); *p; p++)
                if (*p < 'a' || *p > 'z')
                        return;
        if (!isempty(state) && strlen(state) < 32)
                (void) !free_and_strdup(&k->state, state);
}

static void look_at_line(Keeper *k) {
        _cleanup_json_ json_t *message = NULL;
        int r;

        r = hook_message_receive(k->fds[FD_LINE], &message);
        if (r <= 0) {
                log_notice("The job is gone");
                k->fds[FD_LINE] = safe_close(k->fds[FD_LINE]);
                return;
        }
        switch (hook_message_type(message)) {
        case HOOK_MESSAGE_CANCEL:
                k->cancelled = true;
                break;
        case HOOK_MESSAGE_END:
                take_end(k, message);
                break;
        case HOOK_MESSAGE_BEGIN:
        case HOOK_MESSAGE_LEFTOVERS:
        case HOOK_MESSAGE_REFUSED:
        case HOOK_MESSAGE_LINE:
        case HOOK_MESSAGE_RAN:
        case HOOK_MESSAGE_PRE:
        case HOOK_MESSAGE_DONE:
        case _HOOK_MESSAGE_MAX:
        case _HOOK_MESSAGE_INVALID:
                break; /* nonsense */
        }
}

/* Reads what is there. */
static void look(Keeper *k) {
        struct pollfd fds[_FDS] = {
                { .fd = k->fds[FD_LINE], .events = POLLIN },
                { .fd = k->fds[FD_SIGNALS], .events = POLLIN },
        };

        if (poll(fds, _FDS, 0) <= 0)
                return;
        if (fds[FD_LINE].revents)
                look_at_line(k);
        if (fds[FD_SIGNALS].revents) {
                log_notice("Told to end: the post hooks are run first");
                k->fds[FD_SIGNALS] = -EBADF;
        }
}

static bool is_over(const Keeper *k) {
        return k->cancelled || k->fds[FD_LINE] < 0 || k->fds[FD_SIGNALS] < 0;
}

/* Post hooks are never cut short: they have their limit. */
static bool stop(void *userdata) {
        Keeper *k = ASSERT_PTR(userdata);

        look(k);
        return !k->in_post && is_over(k);
}

/* Until the job is done, one way or the other. */
static void wait_for_end(Keeper *k) {
        usec_t until = USEC_INFINITY;
        int wait = -1;

        while (!k->state && k->fds[FD_LINE] >= 0 && k->fds[FD_SIGNALS] >= 0) {
                struct pollfd fds[_FDS] = {
                        { .fd = k->fds[FD_LINE], .events = POLLIN },
                        { .fd = k->fds[FD_SIGNALS], .events = POLLIN },
                };
                usec_t now = now_usec(CLOCK_MONOTONIC);

                if (k->cancelled && until == USEC_INFINITY)
                        until = usec_add(now, HOOK_CANCEL_PATIENCE_SEC * USEC_PER_SEC);
                if (now >= until) {
                        log_warning("The job was cancelled and does not end");
                        return;
                }
                if (until != USEC_INFINITY)
                        wait = (int) ((until - now) / USEC_PER_MSEC) + 1;
                if (poll(fds, _FDS, wait) > 0)
                        look(k);
        }
}

/* --- Running ---------------------------------------------------------------------------------------- */

static int put(char ***l, const char *name, const char *value) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = asprintf_safe(&line, "%s=%s", name, value);
        return r < 0 ? r : strv_extend(l, line);
}

static int put_number(char ***l, const char *name, uint64_t value) {
        char text[24];

        (void) snprintf(text, sizeof(text), "%" PRIu64, value);
        return put(l, name, text);
}

/* All that a hook is told; docs/hooks.md has it. */
static int make_environment(const Keeper *k, const char *state, char ***ret) {
        _cleanup_(strv_freep) char **l = NULL;
        const HookWork *w = &k->work;
        int r;

        r = put(&l, "PATH", k->args->path);
        if (r >= 0)
                r = put(&l, "LANG", "C.UTF-8");
        if (r >= 0)
                r = put(&l, "BACKUPX_HOOK", k->hook);
        if (r >= 0)
                r = put(&l, "BACKUPX_PHASE", k->phase);
        if (r >= 0)
                r = put(&l, "BACKUPX_KIND", "backup");
        if (r >= 0)
                r = put(&l, "BACKUPX_TYPE", w->type);
        if (r >= 0)
                r = put(&l, "BACKUPX_TASK", w->task);
        if (r >= 0)
                r = put_number(&l, "BACKUPX_TASK_ID", w->task_id);
        if (r >= 0)
                r = put(&l, "BACKUPX_NODE", w->node);
        if (r >= 0)
                r = put_number(&l, "BACKUPX_RUN", w->run);
        if (r >= 0)
                r = put_number(&l, "BACKUPX_ATTEMPT", w->attempt);
        if (r >= 0 && state)
                r = put(&l, "BACKUPX_STATE", state);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

static int check_hook(const Keeper *k, const char *name, char **ret, Failure *reterr_failure) {
        int r;

        r = policy_check_hook(&k->policy, name, reterr_failure);
        return r < 0 ? r : hook_check(k->args->folder, name, ret, reterr_failure);
}

static int execute(Keeper *k, const char *state, usec_t *ret_took, Failure *reterr_failure) {
        _cleanup_(strv_freep) char **environment = NULL;
        _cleanup_(freep) char *path = NULL;
        HookOrder order;
        int r;

        r = check_hook(k, k->hook, &path, reterr_failure);
        if (r >= 0)
                r = make_environment(k, state, &environment);
        if (r < 0)
                return r;
        order = (HookOrder){
                .path = path,
                .name = k->hook,
                .environment = environment,
                .limit = k->work.hooks.timeout_s * USEC_PER_SEC,
                .watched = k->fds,
                .stop = stop,
                .on_line = on_line,
                .userdata = k,
        };
        return hook_execute(&order, ret_took, reterr_failure);
}

static int run_hook(Keeper *k, const char *name, const char *state) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        usec_t took = 0;
        int r;

        assert(name);

        k->hook = name;
        r = execute(k, state, &took, &failure);
        if (r < 0) {
                log_struct(LOG_ERR, NULL, LOG_FIELDS(LOG_RUN(k->work.run), LOG_TASK(k->work.task_id)),
                           "%s hook: %s", k->phase, failure_message(&failure, r));
                k->failed++;
                if (!k->error)
                        k->error = strdup(failure_message(&failure, r));
        } else
                log_struct(LOG_INFO, NULL, LOG_FIELDS(LOG_RUN(k->work.run), LOG_TASK(k->work.task_id)),
                           "%s hook %s of task %s ended well", k->phase, name, k->work.task);
        tell_ran(k, r < 0 ? failure_message(&failure, r) : NULL, took);
        return r;
}

static void begin_phase(Keeper *k, const char *phase) {
        k->phase = phase;
        k->failed = 0;
        k->error = mfree(k->error);
}

/* Whether the job may go on. */
static bool run_pre(Keeper *k) {
        bool go_on = k->work.hooks.on_failure == HOOK_POLICY_WARN;

        begin_phase(k, "pre");
        STRV_FOREACH(name, k->work.hooks.pre) {
                look(k);
                if (is_over(k))
                        break;
                if (run_hook(k, *name, /* state= */ NULL) < 0 && !go_on)
                        break;
        }
        go_on = !is_over(k) && (go_on || k->failed == 0);
        tell_phase(k, HOOK_MESSAGE_PRE, go_on);
        return go_on;
}

/* --- The note --------------------------------------------------------------------------------------- */

/* What is to be run still: the same message, with the post hooks that are left. */
static int save_note(Keeper *k) {
        _cleanup_json_ json_t *json = NULL;
        int r;

        r = hook_work_build(&k->work, &json);
        return r < 0 ? r : result_save(k->state_fd, k->note, json);
}

static int open_state(Keeper *k, Failure *reterr_failure) {
        int r;

        r = mkdir_p(k->args->state_dir, 0700);
        if (r >= 0) {
                k->state_fd = open(k->args->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                r = k->state_fd < 0 ? -errno : 0;
        }
        return r < 0 ? failure_set(reterr_failure, r, "HOOKS_UNUSABLE",
                                   "The state of hooks cannot be kept in %s: %m", k->args->state_dir) :
                       0;
}

static int begin_note(Keeper *k, Failure *reterr_failure) {
        int r;

        k->note = (WorkName){ .command = now_usec(CLOCK_REALTIME), .attempt = (uint64_t) getpid() };
        r = open_state(k, reterr_failure);
        if (r < 0)
                return r;
        k->lock_fd = job_lock_take(k->state_fd, k->note, getpid());
        r = k->lock_fd < 0 ? k->lock_fd : save_note(k);
        if (r < 0) {
                result_forget(k->state_fd, k->note);
                return failure_set(reterr_failure, r, "HOOKS_UNUSABLE",
                                   "The state of hooks cannot be kept in %s: %m", k->args->state_dir);
        }
        k->noted = true;
        return 0;
}

/* All of them, whatever becomes of one; what has run is struck from the note. */
static void run_post(Keeper *k, const char *state) {
        _cleanup_(strv_freep) char **todo = TAKE_PTR(k->work.hooks.post);
        int r;

        begin_phase(k, "post");
        k->in_post = true;
        if (k->fds[FD_SIGNALS] < 0 && !k->state) /* the job does not know that yet */
                k->error = strdup("The hooks were told to end: the post hooks were run before the "
                                  "backup was done");
        for (char **next = todo; next && *next; next++) {
                (void) run_hook(k, *next, state);
                k->work.hooks.post = next + 1; /* borrowed for the note */
                r = next[1] ? save_note(k) : 0;
                k->work.hooks.post = NULL;
                if (r < 0)
                        log_warning_errno(r, "What is left to be run cannot be noted: %m");
        }
        result_forget(k->state_fd, k->note);
        k->noted = false;
        tell_phase(k, HOOK_MESSAGE_DONE, /* go_on= */ false);
}

/* --- Leftovers -------------------------------------------------------------------------------------- */

static void make_up(const KeeperArgs *args, int state_fd, WorkName name) {
        _cleanup_(keeper_done) Keeper k;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        keeper_init(&k, args);
        k.fds[FD_LINE] = -EBADF;
        k.note = name;
        k.lock_fd = job_lock_take(state_fd, name, getpid());
        if (k.lock_fd < 0)
                return; /* its keeper lives, or somebody else makes up for it */
        k.state_fd = fcntl(state_fd, F_DUPFD_CLOEXEC, 3);
        if (k.state_fd < 0)
                return;
        r = result_load(state_fd, name, &json, &failure);
        if (r == -ENOENT) { /* done meanwhile */
                result_forget(state_fd, name);
                return;
        }
        if (r >= 0)
                r = hook_work_parse(json, &k.work, &failure);
        if (r >= 0)
                r = policy_load(args->policy_path, &k.policy, &failure);
        if (r < 0) {
                log_error("What an earlier keeper of hooks left cannot be run: %s",
                          failure_message(&failure, r));
                return;
        }
        log_notice("The post hooks of run %" PRIu64 " of task %s were not run, or not all: making up for it",
                   k.work.run, k.work.task);
        run_post(&k, STATE_INTERRUPTED);
}

int keeper_leftovers(const KeeperArgs *args) {
        _cleanup_close_ int fd = -EBADF;
        DIR *d;

        assert(args);

        fd = open(args->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? 0 : log_error_errno(-errno, "Cannot open %s: %m", args->state_dir);
        d = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (!d)
                return log_error_errno(-errno, "Cannot read %s: %m", args->state_dir);
        for (struct dirent *e; (e = readdir(d));) {
                WorkName name;

                if (work_name_parse(e->d_name, ".json", &name) >= 0)
                        make_up(args, fd, name);
        }
        (void) closedir(d);
        return 0;
}

/* --- A job ------------------------------------------------------------------------------------------ */

static int check_all(const Keeper *k, char *const *names, Failure *reterr_failure) {
        STRV_FOREACH(name, names) {
                _cleanup_(freep) char *path = NULL;
                int r = check_hook(k, *name, &path, reterr_failure);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Nothing is run before all that will be is known to be there. */
static int prepare(Keeper *k, const json_t *message, Failure *reterr_failure) {
        int r;

        r = hook_work_parse(message, &k->work, reterr_failure);
        if (r >= 0)
                r = policy_load(k->args->policy_path, &k->policy, reterr_failure);
        if (r >= 0)
                r = check_all(k, k->work.hooks.pre, reterr_failure);
        if (r >= 0)
                r = check_all(k, k->work.hooks.post, reterr_failure);
        return r < 0 ? r : begin_note(k, reterr_failure);
}

static const char *end_state(const Keeper *k, bool went_on) {
        if (k->state)
                return k->state;
        if (k->cancelled)
                return "cancelled";
        if (k->fds[FD_LINE] < 0 || k->fds[FD_SIGNALS] < 0 || went_on)
                return STATE_INTERRUPTED;
        return "failed"; /* by a pre hook */
}

static void run_all(Keeper *k) {
        bool went_on;

        went_on = run_pre(k);
        if (went_on)
                wait_for_end(k);
        run_post(k, end_state(k, went_on));
}

static int receive_first(Keeper *k, json_t **ret) {
        struct pollfd p = { .fd = k->fds[FD_LINE], .events = POLLIN };
        int r;

        r = poll(&p, 1, (int) (BEGIN_TIMEOUT / USEC_PER_MSEC));
        if (r <= 0)
                return log_error_errno(r < 0 ? -errno : -ETIMEDOUT, "Nothing was asked for: %m");
        r = hook_message_receive(k->fds[FD_LINE], ret);
        return r < 0 ? log_error_errno(r, "What was asked for cannot be read: %m") : r;
}

int keeper_serve(const KeeperArgs *args) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *message = NULL;
        _cleanup_(keeper_done) Keeper k;
        int r;

        assert(args);

        keeper_init(&k, args);
        r = receive_first(&k, &message);
        if (r <= 0)
                return r;
        if (hook_message_type(message) == HOOK_MESSAGE_LEFTOVERS)
                return keeper_leftovers(args);
        if (hook_message_type(message) != HOOK_MESSAGE_BEGIN)
                return log_error_errno(-EBADMSG, "What was asked for is not known: %m");
        r = prepare(&k, message, &failure);
        if (r < 0) {
                tell_refusal(&k, &failure, r);
                return 0;
        }
        run_all(&k);
        return 0;
}
