#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The walk over the sources: depth first, sorted, by descriptors, each path once; what it finds goes to a
 * sink, which makes an archive or a snapshot of it. What cannot be read is told to the report and left out;
 * errors of this function are those that end the run. */

#include "archive/entries.h"
#include "archive/fs.h"
#include "archive/report.h"
#include "archive/sources.h"

/* Names of all directories that are open at a time. */
#define WALK_NAMES_BUDGET (24U << 20)
#define WALK_NAMES_MIN (256U << 10)
/* Directories kept open; those above are opened again by "..". */
#define WALK_OPEN_MAX 128
/* Followed links in one path: more is a maze, not a tree. */
#define WALK_LINKS_MAX 40

/* Takes what the walk finds, in its order, from its thread. Each gives 0, or negative errno, which ends the
 * run. An entry's path, user and group are borrowed. */
typedef struct WalkSink {
        /* Directories nest: begin and end of one, enter, its children in the order of their names, leave. */
        int (*enter)(void *userdata, const char *path);
        int (*leave)(void *userdata);
        /* A regular file before it is opened; NULL: not asked. 1: it is taken as it is known from elsewhere,
         * and nothing more comes of it. */
        int (*known)(void *userdata, const char *path, const FsStat *st);
        /* An object; of a regular file the content follows. 1: its content is not wanted. */
        int (*begin)(void *userdata, Entry *entry, const FsStat *st);
        /* Room for content, never none; and so much of it was filled. */
        int (*space)(void *userdata, void **ret, size_t *ret_n);
        int (*advance)(void *userdata, size_t n);
        /* So many zeros: for what could not be read, and, where wanted, for holes. */
        int (*zeros)(void *userdata, uint64_t n);
        /* The end of the object; it may be incomplete now. */
        int (*end)(void *userdata, const Entry *entry);

        bool hard_links; /* a further name of a file is a link to the first, not a file of its own */
        bool acl_text;   /* ACLs as text, not among the extended attributes */
        /* Holes come as zeros, those below this as content that was read; 0: holes do not come at all. */
        uint64_t hole_min;
        size_t extents_max; /* of one file; some holes count as data where there are more */
        /* A stream of unknown size comes as parts of this size, each with its size in front; 0: as it is,
         * and the size of its entry is right at the end. */
        size_t part_max;
} WalkSink;

int walk_run(const BackupArgs *args, const Sources *sources, const WalkSink *sink, void *sink_userdata,
             Report *report) _warn_unused_;
