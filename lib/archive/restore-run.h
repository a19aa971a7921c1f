#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The state of one restore, and how its parts say what went wrong. For the files of the restore. */

#include "archive/copies.h"
#include "archive/restore-links.h"
#include "archive/restore-place.h"
#include "archive/restore.h"
#include "base/buffer.h"

typedef struct RestoreTree RestoreTree;

/* One chosen path. Its members are one run of the tar stream. */
typedef struct Selection {
        char *path;
        uint64_t start, end;
} Selection;

typedef struct RestoreRun {
        const RestoreArgs *args;
        RestoreResult *result;
        Copies *copies;
        Selection *selections; /* ascending, none within another */
        size_t n_selections;
        char **sources; /* of the archive, as paths of the archive */
        Places places;
        RestoreTree *tree;
        RestoreLinks *links;
        uint8_t *buf; /* RESTORE_BUFFER_SIZE bytes */
        RestoreProgress progress;
        usec_t progress_told;
        Buffer current;
} RestoreRun;

#define RESTORE_BUFFER_SIZE (512U << 10)

/* Positive outcomes of functions that restore something. */
enum {
        _RESTORE_E_SUCCESS,

        RESTORE_E_NAMED,   /* not restored; an error names it, and the others go on */
        RESTORE_E_SKIPPED, /* something is in the way, and stays */
};

/* Names an error about path; gives RESTORE_E_NAMED or -ENOMEM. */
int restore_name(RestoreRun *r, const char *path, const char *code, const char *format, ...) _printf_(4, 5);
/* The same for an errno of a system call, with the code that belongs to it. what is the beginning of a
 * sentence: "cannot be written". Errors that nothing after it would be spared (no space, a read-only file
 * system, no memory) set the run's failure and are given back. */
int restore_name_errno(RestoreRun *r, const char *path, int error, const char *what);

/* Whether the run goes on: 0 or -ECANCELED. Tells progress when it is time to. */
int restore_tick(RestoreRun *r) _warn_unused_;
void restore_tell_phase(RestoreRun *r, RestorePhase phase);
void restore_log(RestoreRun *r, ArchiveLogLevel level, const char *format, ...) _printf_(3, 4);
