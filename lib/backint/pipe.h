#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The ends of named pipes, and files, as SAP HANA hands them over. Everything here waits for the other side,
 * and ends at once with -ECANCELED when stop_fd becomes readable. */

#include <sys/types.h>

#include "base/failure.h"
#include "base/times.h"

typedef struct BackintEnd {
        int fd;
        int stop_fd; /* weak */
        bool is_pipe;
        bool started; /* the other side was there */
        usec_t timeout;
        const char *path; /* weak */
        char *temporary;  /* a file that gets its name at the end */
} BackintEnd;

#define BACKINT_END_NULL ((BackintEnd){ .fd = -EBADF, .stop_fd = -EBADF })

/* What was written to a file that was not committed is gone. */
void backint_end_done(BackintEnd *e);

/* For backup. e->stop_fd and e->timeout are set. want_pipe: nothing else will do. */
int backint_end_open_source(BackintEnd *e, const char *path, bool want_pipe,
                            Failure *reterr_failure) _warn_unused_;
/* Up to n bytes; 0: the other side closed it. -ETIMEDOUT: nobody came. */
ssize_t backint_end_read(BackintEnd *e, void *buf, size_t n, Failure *reterr_failure) _warn_unused_;

/* For restore: a pipe that is there, or a file, which takes the place of one that is there at the commit.
 * expect_pipe: what was saved came from one, so a file is not made. */
int backint_end_open_destination(BackintEnd *e, const char *path, bool expect_pipe,
                                 Failure *reterr_failure) _warn_unused_;
int backint_end_write(BackintEnd *e, const void *p, size_t n, Failure *reterr_failure) _warn_unused_;
int backint_end_commit(BackintEnd *e, Failure *reterr_failure) _warn_unused_;
