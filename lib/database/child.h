#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A tool of a database as a stage of a stream: it gives its output to us, or takes its input from us. What
 * it must know and nobody else (a password) comes to it as a file that has no name, on a descriptor that
 * only it inherits. What it complains about is kept, as far as it fits. Its exit status is part of what it
 * says. */

#include <stdatomic.h>
#include <sys/types.h>

#include "base/failure.h"

/* The descriptor of the private file in the child, for its arguments. */
#define CHILD_PRIVATE_PATH "/proc/self/fd/3"
#define CHILD_ERRORS_MAX (64U << 10)

typedef struct Child Child;

typedef struct ChildArgs {
        const char *path;          /* of the program */
        char *const *arguments;    /* its name first; NULL ends them. They are seen by everybody */
        const char *secret;        /* content of the private file; NULL: there is none */
        const char *input;         /* the same as its standard input, of one that gives output; NULL: none */
        const char *home;          /* what it is told of as its home; NULL: there is none */
        bool takes_input;          /* else it gives output */
        bool one_output;           /* what it complains about is among that, and nowhere else */
        const atomic_bool *cancel; /* kills it; may be NULL */
} ChildArgs;

int child_new(const ChildArgs *args, Child **ret, Failure *reterr_failure) _warn_unused_;
/* Kills it where it still runs. */
Child *child_free(Child *c);

/* Up to n bytes of its output; 0 at its end. -ECANCELED. */
ssize_t child_read(Child *c, void *p, size_t n) _warn_unused_;
/* The end of its input that we write to; blocking, -EPIPE when it is gone. */
int child_input(const Child *c);
/* No more input. */
void child_end_input(Child *c);
/* Waits for its end: the exit status, 128 and the signal that killed it, or -ECANCELED. */
int child_wait(Child *c) _warn_unused_;
/* What it complained about: the last line that speaks of an error, or else the last one; where it said
 * nothing, what silence means. After child_wait(). */
#define CHILD_COMPLAINT_MAX 400U
const char *child_complaint(const Child *c, const char *silence);

/* Runs it, and keeps the beginning of what it says as a string: its status as of child_wait(). */
int child_capture(const ChildArgs *args, char *ret, size_t size, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(Child *, child_free);
