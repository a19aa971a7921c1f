#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The directories between a place and the object that is being restored, as a stack: the archive comes in
 * depth-first order, so a directory gets its own metadata when it is left, deepest first, and no list of
 * them is ever needed. */

#include "archive/restore-run.h"

/* The directory that an object goes to. */
typedef struct TreeSpot {
        int fd;           /* belongs to the tree */
        const char *name; /* points into the path */
        bool inherits;    /* new objects here get ACLs of the directory */
} TreeSpot;

int restore_tree_new(RestoreRun *run, RestoreTree **ret) _warn_unused_;
/* Leaves what is open as it is: restore_tree_finish() comes first. */
RestoreTree *restore_tree_free(RestoreTree *t);

/* Goes to the directory that holds path and makes what is missing on the way, with the metadata that the
 * archive has of it. RESTORE_E_NAMED, RESTORE_E_SKIPPED: there is no such directory, as was said before. */
int restore_tree_go(RestoreTree *t, const char *path, TreeSpot *ret) _warn_unused_;
/* Restores a directory and goes into it. Takes the member's content. */
int restore_tree_directory(RestoreTree *t, Member *m) _warn_unused_;
/* Leaves all directories. */
int restore_tree_finish(RestoreTree *t) _warn_unused_;

DEFINE_CLEANUP(RestoreTree *, restore_tree_free);
