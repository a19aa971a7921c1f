/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "backint/answer.h"
#include "backint/line.h"
#include "base/alloc.h"
#include "base/fd.h"

static const char *const backint_answer_table[] = {
        [BACKINT_SOFTWAREID] = "#SOFTWAREID",
        [BACKINT_SAVED] = "#SAVED",
        [BACKINT_RESTORED] = "#RESTORED",
        [BACKINT_FOUND] = "#BACKUP",
        [BACKINT_DELETED] = "#DELETED",
        [BACKINT_NOTFOUND] = "#NOTFOUND",
        [BACKINT_ERROR] = "#ERROR",
};

DEFINE_STRING_TABLE(backint_answer, BackintAnswer);

struct BackintAnswers {
        pthread_mutex_t lock;
        int fd; /* weak */
        size_t n_errors;
        int lost;
        bool closed;
        pthread_t closer; /* who may still answer then */
};

int backint_answer_format(Buffer *out, BackintAnswer answer, const char *const *words) {
        _cleanup_buffer_ Buffer line = BUFFER_NULL;
        int r;

        assert(out);
        assert(words);

        r = buffer_add_string(&line, backint_answer_to_string(answer));
        for (size_t i = 0; words[i] && r >= 0; i++) {
                r = buffer_add(&line, " ", 1);
                if (r >= 0)
                        r = backint_line_quote(&line, words[i]);
        }
        if (r >= 0)
                r = buffer_add(&line, "\n", 1);
        return r < 0 ? r : buffer_add(out, line.data, line.size);
}

int backint_comment_format(Buffer *out, const char *text) {
        int r;

        assert(out);
        assert(text);

        /* The blank in front keeps a '#' in the text from being a keyword. */
        r = buffer_add_string(out, "  ");
        for (const char *p = text; *p && r >= 0; p++)
                r = buffer_add(out, (uint8_t) *p < 0x20 || *p == 0x7f ? "?" : p, 1);
        return r < 0 ? r : buffer_add(out, "\n", 1);
}

int backint_answers_new(int fd, BackintAnswers **ret) {
        BackintAnswers *a;

        assert(fd >= 0);
        assert(ret);

        a = new0(BackintAnswers, 1);
        if (!a)
                return -ENOMEM;
        (void) pthread_mutex_init(&a->lock, NULL);
        a->fd = fd;
        *ret = a;
        return 0;
}

BackintAnswers *backint_answers_free(BackintAnswers *a) {
        if (!a)
                return NULL;
        (void) pthread_mutex_destroy(&a->lock);
        return mfree(a);
}

/* Lines of one answer stay together. */
static void put(BackintAnswers *a, const Buffer *lines, int error, bool is_error, bool *ret_answered) {
        int r = error;

        (void) pthread_mutex_lock(&a->lock);
        if (!a->closed || pthread_equal(a->closer, pthread_self())) {
                if (r >= 0 && lines->size > 0)
                        r = write_full(a->fd, lines->data, lines->size);
                if (r < 0 && a->lost == 0)
                        a->lost = r;
                a->n_errors += is_error;
                if (ret_answered)
                        *ret_answered = true;
        }
        (void) pthread_mutex_unlock(&a->lock);
}

void backint_answers_add(BackintAnswers *a, BackintAnswer answer, const char *const *words,
                         const char *comment, bool *ret_answered) {
        _cleanup_buffer_ Buffer lines = BUFFER_NULL;
        int r;

        assert(a);
        assert(words);

        r = backint_answer_format(&lines, answer, words);
        if (r >= 0 && comment)
                r = backint_comment_format(&lines, comment);
        put(a, &lines, r, answer == BACKINT_ERROR, ret_answered);
}

void backint_answers_comment(BackintAnswers *a, const char *text) {
        _cleanup_buffer_ Buffer lines = BUFFER_NULL;
        int r;

        assert(a);
        assert(text);

        r = backint_comment_format(&lines, text);
        put(a, &lines, r, /* is_error= */ false, /* ret_answered= */ NULL);
}

void backint_answers_close(BackintAnswers *a) {
        assert(a);

        (void) pthread_mutex_lock(&a->lock);
        a->closer = pthread_self();
        a->closed = true;
        (void) pthread_mutex_unlock(&a->lock);
}

size_t backint_answers_errors(BackintAnswers *a) {
        size_t n;

        assert(a);

        (void) pthread_mutex_lock(&a->lock);
        n = a->n_errors;
        (void) pthread_mutex_unlock(&a->lock);
        return n;
}

int backint_answers_lost(BackintAnswers *a) {
        int r;

        assert(a);

        (void) pthread_mutex_lock(&a->lock);
        r = a->lost;
        (void) pthread_mutex_unlock(&a->lock);
        return r;
}
