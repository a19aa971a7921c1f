#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A snapshot as what a restore comes from. */

#include "archive/restore-run.h"
#include "repository/tree-walk.h"

typedef struct RestoreSource {
        Repository *repository; /* weak */
        Snapshot snapshot;
        RepoIndex *index;
        BlobReader *reader; /* of the thread that called */
} RestoreSource;

#define RESTORE_SOURCE_NULL ((RestoreSource){})

/* name: as repository_find_snapshot(). */
int restore_source_open(RestoreSource *s, Repository *r, const char *name, Failure *reterr_failure)
                _warn_unused_;
void restore_source_done(RestoreSource *s);
/* Finds the chosen paths, and the sources of the snapshot. */
int restore_source_select(RestoreSource *s, RestoreRun *run) _warn_unused_;
/* The bytes of a file's content. */
uint64_t restore_source_size(const RestoreSource *s, const TreeNode *n);

/* Its runs have the source as their origin's data. */
extern const RestoreOrigin restore_origin_repository;
