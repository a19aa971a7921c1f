#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A directory for what has to be on a disk for a while. Each job has one of its own, which is locked as long
 * as the job lives: what a killed job left is known by that, and the next one removes it. */

#include "base/failure.h"

/* What stays free in the file system whatever is staged. */
#define STAGING_RESERVE (64U << 20)

typedef struct Staging {
        int parent, fd;
        char *path;   /* of the job's own directory, absolute */
        uint64_t max; /* bytes that may be staged at a time; 0: what is free */
} Staging;

#define STAGING_NULL ((Staging){ .parent = -EBADF, .fd = -EBADF })

/* Makes a directory below parent (which is made, too), after removing those of jobs that are gone. */
int staging_open(const char *parent, uint64_t max, Staging *ret, Failure *reterr_failure) _warn_unused_;
/* Whether so many bytes, for what, may be put there. -ENOSPC with a failure. */
int staging_has_room(const Staging *s, uint64_t n, const char *what, Failure *reterr_failure) _warn_unused_;
/* Removes the files in it. */
void staging_clear(Staging *s);
/* Removes it. */
void staging_done(Staging *s);
