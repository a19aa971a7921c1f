#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What is stored without being walked: streams that somebody gives one after the other, for example what the
 * tool of a database prints, or a checked copy that stands for a file of this host. They become files at the
 * paths that they name.
 *
 * A stream that fails ends the run, and so nothing of the run is committed: what is under a final name is
 * whole. Some formats want a size in front of the content; there, a stream whose size nobody knows is a
 * directory of numbered parts, in order. */

#include "archive/walk.h"

/* Digits of the name of a part, the first of which is 0. */
#define STREAM_PART_DIGITS 10

typedef struct BackupStream {
        char *path; /* relative to the root, no '/' at either end; owned */
        /* An absolute path whose owner, mode, times and attributes it gets, and its directories those of the
         * directories there; NULL: it belongs to root. Owned. */
        char *like;
        uint32_t mode; /* where it is like nothing */
        bool sized;
        uint64_t size; /* exact, where it is sized */
        char *lost;    /* why there is no such stream, though there should be: the run is partial; owned */
        char *note;    /* a warning for the log, or NULL; owned */
} BackupStream;

#define BACKUP_STREAM_NULL ((BackupStream){})
void backup_stream_done(BackupStream *s);

/* Both are called by one thread, which is not the caller's; both end soon after the cancel flag of the
 * backup is set. */
struct BackupStreams {
        void *userdata;
        /* The next stream, in the order of a tree: of each directory by the bytes of the names. 1; 0: no
         * more; or negative errno with a failure. */
        int (*next)(void *userdata, BackupStream *ret, Failure *reterr_failure);
        /* Up to n bytes of it. 0: it has ended, and as it should; else negative errno with a failure. */
        ssize_t (*read)(void *userdata, void *p, size_t n, Failure *reterr_failure);
};

/* As walk_run(). The failure that ended it is left in the report. */
int streams_run(const BackupArgs *args, const Sources *sources, const WalkSink *sink, void *sink_userdata,
                Report *report) _warn_unused_;
