#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a walk finds, into the trees of a snapshot and the blobs of files. What is unchanged since the parent
 * is not read: the file has the size, the inode and the times of modification and of change that it had, was
 * not changed in the last minute before that backup began, and every repository has all its blobs. */

#include "archive/walk.h"
#include "repository/feed.h"
#include "repository/parent.h"

/* Holes below this are read as what they look like. */
#define TREE_HOLE_MIN (1U << 20)
/* Data runs of one file; more make small holes data. */
#define TREE_EXTENTS_MAX 65536
/* The clock of a file system may lag behind by a tick, and by more where it is a server's. */
#define TREE_UNCHANGED_MARGIN_SEC 60

typedef struct TreeCounts {
        uint64_t files_new, files_changed, files_unchanged;
        uint64_t dirs_new, dirs_changed, dirs_unchanged;
        uint64_t bytes; /* of all files, read or not */
} TreeCounts;

typedef struct TreeSink TreeSink;

typedef struct TreeSinkParent {
        Parent *parent; /* weak */
        Id tree;
        int64_t started;
        /* It has all that we keep of a file, so that what did not change need not even be opened: a change
         * of mode, owner or attributes is a change of ctime. */
        bool ours;
} TreeSinkParent;

/* parent may be NULL. */
int tree_sink_new(Feed *feed, Report *report, const TreeSinkParent *parent,
                  TreeSink **ret) _warn_unused_;
TreeSink *tree_sink_free(TreeSink *t);
/* After the walk: the root of the trees. */
void tree_sink_result(const TreeSink *t, Id *ret_root, TreeCounts *ret_counts);

/* Its userdata is a TreeSink. */
extern const WalkSink tree_sink;

DEFINE_CLEANUP(TreeSink *, tree_sink_free);
