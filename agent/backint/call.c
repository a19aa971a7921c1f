/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/backint/call.h"
#include "backint/session.h"
#include "backint/setup.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"

#define INTERFACE "backint"
/* For the last answers of a call that does not end. */
#define ANSWERS_TIMEOUT_SEC 5

typedef struct Call {
        const BackintOptions *options;
        BackintParameters parameters;
        BackintInput input;
        Storage *storage;
        BackintCatalog *catalog;
        BackintAnswers *answers;
        bool *answered; /* of each request */
        BackintSession session;
        AgeRecipient *recipients;
        AgeIdentity *identities;
        size_t n_recipients, n_identities;
        int output_fd, log_fd;
        /* The end of the call, by a signal. */
        int signal_fd, stop_fd, done_fd;
        atomic_bool cancel, has_session;
        atomic_uint_fast64_t end_timeout;
        pthread_t watcher;
        bool has_watcher;
        pthread_mutex_t log_lock;
        pid_t parent;
} Call;

static void call_init(Call *c, const BackintOptions *options) {
        *c = (Call){
                .options = options,
                .parameters = BACKINT_PARAMETERS_NULL,
                .input = BACKINT_INPUT_NULL,
                .output_fd = -EBADF,
                .log_fd = -EBADF,
                .signal_fd = -EBADF,
                .stop_fd = -EBADF,
                .done_fd = -EBADF,
                .parent = getppid(),
                .end_timeout = BACKINT_END_TIMEOUT_DEFAULT,
        };
        (void) pthread_mutex_init(&c->log_lock, NULL);
}

static void call_done(Call *c) {
        backint_answers_free(c->answers);
        free(c->answered);
        backint_catalog_free(c->catalog);
        storage_free(c->storage);
        free(c->recipients);
        if (c->identities)
                explicit_bzero(c->identities, c->n_identities * sizeof *c->identities);
        free(c->identities);
        backint_input_done(&c->input);
        backint_parameters_done(&c->parameters);
        (void) safe_close(c->output_fd);
        (void) safe_close(c->log_fd);
        (void) safe_close(c->signal_fd);
        (void) safe_close(c->stop_fd);
        (void) safe_close(c->done_fd);
        (void) pthread_mutex_destroy(&c->log_lock);
}

/* --- What is told ----------------------------------------------------------------------------------- */

/* One line of the log file, if there is one. */
static void on_event(void *userdata, const char *text) {
        Call *c = ASSERT_PTR(userdata);
        char time[RFC3339_MAX];

        if (c->log_fd < 0)
                return;
        (void) pthread_mutex_lock(&c->log_lock);
        dprintf(c->log_fd, "%s %s %s[%d]: %s\n", format_rfc3339(time, now_usec(CLOCK_REALTIME)),
                c->options->user, backint_function_to_string(c->options->function), (int) getpid(), text);
        (void) pthread_mutex_unlock(&c->log_lock);
}

/* Where the call fails as a whole: as a comment to the database, too. */
static int fail(Call *c, int error, const Failure *why) {
        const char *text = failure_message(why, error);

        fprintf(stderr, "backupx backint: %s\n", text);
        on_event(c, text);
        if (c->answers)
                backint_answers_comment(c->answers, text);
        return BACKINT_EXIT_FAILED;
}

/* --- Signals ---------------------------------------------------------------------------------------- */

static void ring(int fd) {
        uint64_t one = 1;
        int r;

        /* The first one cannot be too much for it. */
        r = write_full(fd, &one, sizeof one);
        assert(r >= 0);
}

/* Somebody waits in the kernel, for a disk or for whoever reads the log. */
_noreturn_ static void end_now(Call *c) {
        /* The output may be where the disk hangs: its default ends us. */
        (void) alarm(ANSWERS_TIMEOUT_SEC);
        if (!atomic_load(&c->has_session))
                _exit(BACKINT_EXIT_FAILED);
        backint_session_give_up(&c->session, &c->input);
        _exit(BACKINT_EXIT_ERRORS);
}

/* A signal ends the call: who waits for a pipe sees stop_fd, who waits for the storage the flag. */
static void *watch(void *userdata) {
        Call *c = ASSERT_PTR(userdata);
        struct pollfd fds[] = { { .fd = c->signal_fd, .events = POLLIN },
                                { .fd = c->done_fd, .events = POLLIN } };
        int timeout, n;

        while (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno == EINTR)
                ;
        if (fds[1].revents != 0)
                return NULL;
        atomic_store(&c->cancel, true);
        ring(c->stop_fd);
        timeout = (int) (atomic_load(&c->end_timeout) / USEC_PER_MSEC);
        while ((n = poll(fds + 1, 1, timeout)) < 0 && errno == EINTR)
                ;
        if (n == 0)
                end_now(c);
        return NULL;
}

static int watch_signals(Call *c) {
        sigset_t set;
        int r;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGHUP);
        r = pthread_sigmask(SIG_BLOCK, &set, NULL);
        if (r != 0)
                return -r;
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        c->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
        c->stop_fd = eventfd(0, EFD_CLOEXEC);
        c->done_fd = eventfd(0, EFD_CLOEXEC);
        if (c->signal_fd < 0 || c->stop_fd < 0 || c->done_fd < 0)
                return -errno;
        r = pthread_create(&c->watcher, NULL, watch, c);
        c->has_watcher = r == 0;
        return -r;
}

static void stop_watching(Call *c) {
        if (!c->has_watcher)
                return;
        ring(c->done_fd);
        (void) pthread_join(c->watcher, NULL);
}

/* --- Files ------------------------------------------------------------------------------------------ */

static int open_output(Call *c, Failure *reterr_failure) {
        const char *path = c->options->output;

        c->output_fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600) :
                              fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (c->output_fd < 0)
                return failure_set(reterr_failure, -errno, "BACKINT_FILE",
                                   "The output file %s cannot be written: %m", path ? path : "-");
        return backint_answers_new(c->output_fd, &c->answers);
}

/* Up to n bytes; 0 at the end. */
static ssize_t read_some(const Call *c, int fd, void *buf, size_t n) {
        for (;;) {
                struct pollfd fds[] = { { .fd = c->stop_fd, .events = POLLIN },
                                        { .fd = fd, .events = POLLIN } };
                ssize_t k = -1;

                if (poll(fds, ELEMENTSOF(fds), -1) >= 0) {
                        if (fds[0].revents != 0)
                                return -ECANCELED;
                        k = read(fd, buf, n);
                }
                if (k >= 0 || (errno != EINTR && errno != EAGAIN))
                        return k < 0 ? -errno : k;
        }
}

static int read_input(Call *c, Failure *reterr_failure) {
        _cleanup_buffer_ Buffer text = BUFFER_LIMITED(BACKINT_INPUT_MAX);
        const char *path = c->options->input;
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;
        int r = 0;

        fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return failure_set(reterr_failure, -errno, "BACKINT_FILE",
                                   "The input file %s cannot be read: %m", path ? path : "-");
        do {
                char chunk[4096];

                n = read_some(c, fd, chunk, sizeof chunk);
                r = n < 0 ? (int) n : buffer_add(&text, chunk, (size_t) n);
        } while (r >= 0 && n > 0);
        if (r == -ECANCELED)
                return failure_set(reterr_failure, r, "CANCELLED", "The call was ended");
        if (r < 0)
                return failure_set(reterr_failure, r, "BACKINT_FILE",
                                   "The input file %s cannot be read: %m", path ? path : "-");
        return backint_input_parse(c->options->function, text.data, text.size, &c->input, reterr_failure);
}

static int read_parameters(Call *c, Failure *reterr_failure) {
        _cleanup_(freep) char *text = NULL;
        const char *path = c->options->parameters;
        size_t n;
        int r;

        r = backint_file_load(path, BACKINT_FILE_SETTINGS, BACKINT_PARAMETERS_MAX, &text, &n,
                              reterr_failure);
        if (r >= 0)
                r = backint_parameters_parse(path, text, n, &c->parameters, reterr_failure);
        if (r >= 0)
                atomic_store(&c->end_timeout, c->parameters.end_timeout);
        if (r >= 0)
                r = backint_recipients_load(&c->parameters, &c->recipients, &c->n_recipients);
        if (r >= 0 && c->parameters.identity_file)
                r = backint_identities_load(c->parameters.identity_file, &c->identities, &c->n_identities,
                                            reterr_failure);
        if (r < 0 || !c->parameters.log_file)
                return r;
        c->log_fd = open(c->parameters.log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
        return c->log_fd < 0 ? failure_set(reterr_failure, -errno, "BACKINT_FILE",
                                           "The log file %s cannot be written: %m", c->parameters.log_file) :
                               0;
}

/* Backups and restores go on without it, and say so. */
static void open_catalog(Call *c) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        if (!c->parameters.catalog)
                return;
        r = backint_catalog_open(c->parameters.catalog, &c->catalog, &why);
        if (r >= 0)
                return;
        backint_answers_comment(c->answers, failure_message(&why, r));
        on_event(c, failure_message(&why, r));
}

/* --- The call --------------------------------------------------------------------------------------- */

static int prepare(Call *c, Failure *reterr_failure) {
        int r;

        r = watch_signals(c);
        if (r >= 0)
                r = open_output(c, reterr_failure);
        if (r >= 0)
                r = read_parameters(c, reterr_failure);
        if (r >= 0)
                r = read_input(c, reterr_failure);
        if (r >= 0)
                r = backint_storage_open(&c->parameters,
                                         backint_part_mib(c->parameters.parallel, c->input.n_requests),
                                         &c->cancel, &c->storage, reterr_failure);
        if (r < 0)
                return r;
        c->answered = new0(bool, c->input.n_requests + 1);
        return c->answered ? 0 : -ENOMEM;
}

static void answer_version(const Call *c) {
        char interface[32];

        (void) snprintf(interface, sizeof interface, INTERFACE " %u.%02u", c->input.version / 100,
                        c->input.version % 100);
        backint_answers_add(c->answers, BACKINT_SOFTWAREID,
                            (const char *const[]){ interface, "backupx " BACKUPX_VERSION, NULL }, NULL,
                            /* ret_answered= */ NULL);
}

static int run(Call *c, Failure *reterr_failure) {
        c->session = (BackintSession){
                .parameters = &c->parameters,
                .function = c->options->function,
                .user = c->options->user,
                .level = c->options->level,
                .storage = c->storage,
                .catalog = c->catalog,
                .answers = c->answers,
                .answered = c->answered,
                .recipients = c->recipients,
                .n_recipients = c->n_recipients,
                .identities = c->identities,
                .n_identities = c->n_identities,
                .cancel = &c->cancel,
                .stop_fd = c->stop_fd,
                .parent = c->parent,
                .userdata = c,
                .on_event = on_event,
        };
        int r;

        atomic_store(&c->has_session, true);
        r = backint_session_run(&c->session, &c->input);
        if (r >= 0 && backint_answers_lost(c->answers) < 0)
                r = failure_set(reterr_failure, backint_answers_lost(c->answers), "BACKINT_FILE",
                                "The output file cannot be written: answers are missing in it");
        return r;
}

/* Gives the exit status. */
static int finish(Call *c, int error, const Failure *why, usec_t begin) {
        _cleanup_(freep) char *text = NULL;
        size_t errors;

        if (error < 0)
                return fail(c, error, why);
        errors = backint_answers_errors(c->answers);
        if (asprintf_safe(&text, "%zu requests, %zu errors, %.1f s", c->input.n_requests, errors,
                          (double) (now_usec(CLOCK_MONOTONIC) - begin) / USEC_PER_SEC) >= 0)
                on_event(c, text);
        return errors > 0 ? BACKINT_EXIT_ERRORS : BACKINT_EXIT_DONE;
}

int backint_call(const BackintOptions *options) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(call_done) Call c;
        usec_t begin = now_usec(CLOCK_MONOTONIC);
        int r, status;

        assert(options);

        call_init(&c, options);
        r = prepare(&c, &failure);
        if (r >= 0) {
                answer_version(&c);
                open_catalog(&c);
                r = run(&c, &failure);
        }
        status = finish(&c, r, &failure, begin);
        stop_watching(&c);
        return status;
}
