/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "backint/session-private.h"
#include "base/alloc.h"

/* Parts in memory of all streams together, in MiB, and what one may have of it. */
#define PARTS_MIB 40U
#define PART_MIB_MIN 5U
#define PART_MIB_MAX 32U
/* What a restore asks for at a time: far away, a little takes as long as some more. */
#define READ_MIB_MIN 1U
#define READ_MIB_MAX 8U

typedef struct BackintRun {
        const BackintSession *session;
        const BackintInput *input;
        size_t n_threads;
        pthread_mutex_t lock;
        size_t next;
} BackintRun;

unsigned backint_part_mib(unsigned parallel, size_t n_requests) {
        size_t streams = MAX((size_t) 1, MIN((size_t) parallel, n_requests));

        return CLAMP((unsigned) (PARTS_MIB / streams), PART_MIB_MIN, PART_MIB_MAX);
}

/* --- Answers ---------------------------------------------------------------------------------------- */

static void say(const BackintSession *s, const char *text) {
        if (s->on_event)
                s->on_event(s->userdata, text);
}

static void answer_words(const BackintSession *s, BackintAnswer answer, const BackintRequest *request,
                         const char *comment, bool *ret_answered) {
        const char *words[3] = {};
        size_t n = 0;
        /* To a backup and a restore it is said which of their names it is. */
        bool with_ebid = s->function == BACKINT_INQUIRE || s->function == BACKINT_DELETE;

        if (request->ebid && with_ebid)
                words[n++] = request->ebid;
        if (request->name)
                words[n++] = request->name;
        backint_answers_add(s->answers, answer, words, comment, ret_answered);
}

void backint_answer_error(const BackintWorker *w, const BackintRequest *request, int error,
                          const Failure *why) {
        const char *text = failure_message(why, error);

        assert(w);
        assert(request);

        answer_words(w->session, BACKINT_ERROR, request, text, w->answered);
        say(w->session, text);
}

void backint_answer_missing(const BackintWorker *w, const BackintRequest *request) {
        assert(w);
        assert(request);

        answer_words(w->session, BACKINT_NOTFOUND, request, NULL, w->answered);
}

void backint_session_give_up(const BackintSession *s, const BackintInput *input) {
        assert(s);
        assert(input);

        backint_answers_close(s->answers);
        for (size_t i = 0; i < input->n_requests; i++)
                if (!s->answered[i])
                        answer_words(s, BACKINT_ERROR, input->requests + i,
                                     "The call was ended, and this did not end in time", s->answered + i);
}

/* --- Threads ---------------------------------------------------------------------------------------- */

static const BackintRequest *next_request(BackintRun *run) {
        const BackintRequest *request = NULL;

        (void) pthread_mutex_lock(&run->lock);
        if (run->next < run->input->n_requests)
                request = &run->input->requests[run->next++];
        (void) pthread_mutex_unlock(&run->lock);
        return request;
}

static size_t read_mib(size_t n_threads) {
        return CLAMP((size_t) PARTS_MIB / n_threads, (size_t) READ_MIB_MIN, (size_t) READ_MIB_MAX);
}

static int worker_init(BackintWorker *w) {
        const BackintSession *s = w->session;
        const BackintParameters *p = s->parameters;

        if (s->function == BACKINT_BACKUP)
                return piece_writer_new(p->compress ? p->level : 0, s->recipients, s->n_recipients,
                                        storage_object_max(s->storage), &w->writer);
        if (s->function != BACKINT_RESTORE)
                return 0;
        w->buffer_size = read_mib(w->run->n_threads) << 20;
        w->buffer = malloc(w->buffer_size);
        return w->buffer ? 0 : -ENOMEM;
}

static void worker_done(BackintWorker *w) {
        piece_writer_free(w->writer);
        free(w->buffer);
}

static void answer(BackintWorker *w, const BackintRequest *request) {
        const BackintSession *s = w->session;

        switch (s->function) {
        case BACKINT_BACKUP:
                backint_backup(w, request);
                return;
        case BACKINT_RESTORE:
                backint_restore(w, request);
                return;
        case BACKINT_INQUIRE:
                backint_inquire(w, request, w->run->input->version);
                return;
        case BACKINT_DELETE:
                backint_delete(w, request);
                return;
        case _BACKINT_FUNCTION_MAX:
        case _BACKINT_FUNCTION_INVALID:
                return;
        }
}

static void *worker_main(void *userdata) {
        BackintRun *run = ASSERT_PTR(userdata);
        const BackintSession *s = run->session;
        _cleanup_(worker_done) BackintWorker w = { .session = s, .run = run };
        const BackintRequest *request;
        int r;

        r = worker_init(&w);
        while ((request = next_request(run))) {
                _cleanup_failure_ Failure why = FAILURE_NULL;

                w.answered = s->answered + (request - run->input->requests);
                if (r >= 0 && !atomic_load(s->cancel)) {
                        answer(&w, request);
                        continue;
                }
                if (r >= 0)
                        (void) failure_set(&why, -ECANCELED, "CANCELLED", "The call was ended");
                backint_answer_error(&w, request, r < 0 ? r : -ECANCELED, &why);
        }
        return NULL;
}

int backint_session_run(const BackintSession *s, const BackintInput *input) {
        BackintRun run = { .session = s, .input = input };
        pthread_t threads[BACKINT_PARALLEL_MAX];
        size_t n = 0;
        int r = 0;

        assert(s && s->answered);
        assert(input);
        assert(s->parameters->parallel <= BACKINT_PARALLEL_MAX);

        /* Inquiries are answered in their order. */
        run.n_threads = s->function == BACKINT_INQUIRE ?
                        1 :
                        MIN((size_t) s->parameters->parallel, input->n_requests);
        (void) pthread_mutex_init(&run.lock, NULL);
        while (n < run.n_threads && r == 0) {
                r = pthread_create(&threads[n], NULL, worker_main, &run);
                if (r == 0)
                        n++;
        }
        for (size_t i = 0; i < n; i++)
                (void) pthread_join(threads[i], NULL);
        (void) pthread_mutex_destroy(&run.lock);
        /* Fewer threads than wanted are slower, not wrong: none is. */
        return n == 0 && r != 0 ? -r : 0;
}
