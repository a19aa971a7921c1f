#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What SAP HANA is answered: the output file of a call of Backint. Each request is answered as soon as its
 * answer is certain, a line a piece, in the order in which they end:
 *
 *     #SOFTWAREID "backint 1.04" "backupx 0.1.0"
 *     #SAVED "EBID" "NAME" "SIZE"
 *     #RESTORED "EBID" "NAME"
 *     #BACKUP "EBID" "NAME" ["2026-11-22T22:15:01.123Z"]     the time since version 1.50
 *     #DELETED "EBID" "NAME"
 *     #NOTFOUND ["EBID"] ["NAME"]
 *     #ERROR ["EBID"] ["NAME"]
 *
 * A line that begins with no keyword is a comment: why there is an error follows it as one, and HANA copies
 * it to its backint.log. */

#include "base/buffer.h"
#include "base/failure.h"

typedef enum BackintAnswer {
        BACKINT_SOFTWAREID,
        BACKINT_SAVED,
        BACKINT_RESTORED,
        BACKINT_FOUND,
        BACKINT_DELETED,
        BACKINT_NOTFOUND,
        BACKINT_ERROR,
        _BACKINT_ANSWER_MAX,
        _BACKINT_ANSWER_INVALID = -22, /* -EINVAL */
} BackintAnswer;

/* "#SAVED" and so on. */
DECLARE_STRING_TABLE(backint_answer, BackintAnswer);

/* Appends one line; words are NULL-terminated. -EINVAL: one of them has no form. */
int backint_answer_format(Buffer *out, BackintAnswer answer, const char *const *words) _warn_unused_;
/* Appends a text as comment lines: nothing in it can be taken for an answer, or for more than text. */
int backint_comment_format(Buffer *out, const char *text) _warn_unused_;

/* The file itself. Any thread may answer. */
typedef struct BackintAnswers BackintAnswers;

int backint_answers_new(int fd, BackintAnswers **ret) _warn_unused_; /* fd is weak */
BackintAnswers *backint_answers_free(BackintAnswers *a);
/* comment may be NULL. ret_answered is set together with it, where it is the last word on a request; else it
 * is NULL. An answer that could not be written makes the call a failure: backint_answers_lost(). */
void backint_answers_add(BackintAnswers *a, BackintAnswer answer, const char *const *words,
                         const char *comment, bool *ret_answered);
void backint_answers_comment(BackintAnswers *a, const char *text);
/* From here on nobody answers but the calling thread. What others say is lost without a word. */
void backint_answers_close(BackintAnswers *a);
/* How many requests were answered with an error. */
size_t backint_answers_errors(BackintAnswers *a);
/* Why answers were lost, or 0. */
int backint_answers_lost(BackintAnswers *a) _warn_unused_;

DEFINE_CLEANUP(BackintAnswers *, backint_answers_free);
