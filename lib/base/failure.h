#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* An error for people: beside the errno that the program acts on, a code that other programs match
 * (UPPER_SNAKE) and one sentence that says what failed, on which object, why, and what to do. Functions that
 * have one take it as their last parameter, reterr_failure, which may be NULL. The first one set stays: the
 * failure nearest to the cause is the one that is told. */

#include "base/macros.h"

#define FAILURE_CODE_MAX 48

typedef struct Failure {
        char code[FAILURE_CODE_MAX]; /* empty: nothing is set */
        char *message;               /* may be NULL when memory ran out */
        char *field;                 /* the offending field of a request, dotted; or NULL */
} Failure;

#define FAILURE_NULL ((Failure){})
#define _cleanup_failure_ _cleanup_(failure_done)

void failure_done(Failure *f);

static inline bool failure_is_set(const Failure *f) {
        return f && f->code[0] != 0;
}

/* Sets the failure unless one is set already. Gives error (a negative errno), so that one statement sets and
 * returns. %m in the format is the text of error. */
int failure_set(Failure *f, int error, const char *code, const char *format, ...) _printf_(4, 5);

/* The same for one field of a request. */
int failure_set_field(Failure *f, int error, const char *code, const char *field, const char *format, ...)
                _printf_(5, 6);

/* The sentence, or the text of error where there is none. Never NULL. */
const char *failure_message(const Failure *f, int error);
