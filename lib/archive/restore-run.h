#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The state of one restore, and how its parts say what went wrong. For the files of the restore. */

#include "archive/copies.h"
#include "archive/member.h"
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

typedef struct RestoreRun RestoreRun;

/* One object where things come from. */
typedef int (*RestoreListFunc)(void *userdata, const char *path, bool directory);

/* Where things come from: an archive, or a snapshot of a repository. Negative errno ends the run. */
typedef struct RestoreOrigin {
        /* The object at path, with its metadata: 0, or -ENOENT. */
        int (*lookup)(RestoreRun *r, const char *path, Member *ret);
        /* The objects in a directory; -ENOENT: there is none. Gives what func gave, where that is not 0. */
        int (*list)(RestoreRun *r, const char *directory, RestoreListFunc func, void *userdata);
        /* Restores a hard link as an object of its own, since what it links to is not there: as
         * restore_object(). */
        int (*copy)(RestoreRun *r, const Member *link);
} RestoreOrigin;

/* The content of a file, piece by piece: gives the count of bytes, 0 at the end. What is between the pieces
 * is a hole. -ENODATA: it cannot be had, which was named; the others go on. Other negative errno ends the
 * run. *ret is valid until the next call. */
typedef struct RestoreContent {
        ssize_t (*next)(void *userdata, const void **ret, uint64_t *ret_offset);
        void *userdata;
} RestoreContent;

struct RestoreRun {
        const RestoreOrigin *origin;
        void *origin_data; /* of the origin */
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
};

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
/* Restores one object; content: of files. A directory takes the member's content. What became of it is
 * counted; gives 0, or negative errno that ends the run. */
int restore_member(RestoreRun *r, Member *m, const RestoreContent *content) _warn_unused_;
/* Makes the destinations; they are touched when the first thing for them was read and checked. */
int restore_make_places(RestoreRun *r) _warn_unused_;
/* Success is said only of what is on the disk. */
int restore_sync(RestoreRun *r) _warn_unused_;
/* Says in the result how it ended; error: of the run. */
void restore_conclude(RestoreRun *r, int error);
/* Lets go of all but the origin's own. */
void restore_run_done(RestoreRun *r);
void restore_tell_phase(RestoreRun *r, RestorePhase phase);
void restore_log(RestoreRun *r, ArchiveLogLevel level, const char *format, ...) _printf_(3, 4);
