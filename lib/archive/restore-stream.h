#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The tar stream of an archive, read from any member on. */

#include "archive/pax.h"
#include "archive/restore-run.h"

typedef struct RestoreCursor {
        RestoreRun *run;
        uint64_t position;
        uint64_t counted; /* what is read before this place counts in the progress */
} RestoreCursor;

/* The cursor must stay valid as long as the reader. */
int restore_cursor_open(RestoreCursor *c, PaxReader **ret) _warn_unused_;
/* As pax_reader_next(); errors set the run's failure. */
int restore_cursor_next(RestoreCursor *c, PaxReader *reader, Member *ret) _warn_unused_;
