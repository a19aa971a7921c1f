#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Snapshots: what was backed up when, and the tree of it. The plain JSON, before it is compressed and
 * sealed. A snapshot's name is the id of its file. */

#include "base/failure.h"
#include "repository/id.h"
#include "repository/moment.h"

#define SNAPSHOT_SIZE_MAX (8U << 20) /* of the JSON */
#define SNAPSHOT_ITEMS_MAX 10000     /* paths, tags, excludes, each */
#define SNAPSHOT_TEXT_MAX 65536      /* one of them */

/* What the backup counted; restic writes it from 0.17 on. */
typedef struct SnapshotSummary {
        Moment backup_start, backup_end;
        uint64_t files_new, files_changed, files_unmodified;
        uint64_t dirs_new, dirs_changed, dirs_unmodified;
        uint64_t data_blobs, tree_blobs; /* that were new */
        uint64_t data_added;             /* bytes, plain */
        uint64_t data_added_packed;      /* bytes, as stored */
        uint64_t total_files_processed, total_bytes_processed;
} SnapshotSummary;

typedef struct Snapshot {
        Moment time;
        bool has_parent, has_original, has_summary;
        Id parent;
        Id tree;
        Id original;  /* the first form of a snapshot whose tags were changed */
        char **paths; /* bytes that are not UTF-8 become U+FFFD when they are written */
        char *hostname, *username;
        uint32_t uid, gid;
        char **excludes, **tags;
        char *program_version;
        SnapshotSummary summary;
} Snapshot;

#define SNAPSHOT_NULL ((Snapshot){})
void snapshot_done(Snapshot *s);

/* Fields that we do not know are read over. -EBADMSG with SNAPSHOT_DAMAGED. */
int snapshot_parse(const void *data, size_t n, Snapshot *ret, Failure *reterr_failure) _warn_unused_;
/* JSON as restic writes it; allocated. */
int snapshot_format(const Snapshot *s, char **ret, size_t *ret_size) _warn_unused_;
