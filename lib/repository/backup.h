#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The backup of files, or of one stream, into repositories: one pass over the sources, whatever the number
 * of targets. States, problems and their texts are those of the backup into an archive.
 *
 * Packs come first, then indexes, then the snapshot, which is the only commit; what an interrupted run has
 * uploaded and indexed is found by the next. A target that fails is left out and the others go on. Nothing
 * is ever deleted but the run's own lock. */

#include "archive/backup.h"
#include "repository/lock-held.h"
#include "repository/repository.h"
#include "repository/tree-sink.h"

/* One file that is not on a disk, for example what a database's tool prints. */
typedef struct RepoStream {
        const char *name; /* of the file, at the root of the snapshot */
        /* Gives up to n bytes, 0 at the end, or negative errno. Blocking. */
        ssize_t (*read)(void *userdata, void *buf, size_t n);
        void *userdata;
} RepoStream;

typedef struct RepoBackupArgs {
        /* Sources, callbacks, limits, level, cancel; of its targets the storages are looked at, so that the
         * walk leaves them out. Of a stream paths is only what the snapshot says it is of. */
        const BackupArgs *args;
        Repository *const *repositories; /* open, one a target of args, of one polynomial; weak */
        const char *hostname;            /* of the snapshot: the node */
        const char *username;
        RepoLockOwner lock_owner;
        usec_t listing_delay; /* how long a new object may stay out of a storage's listings */
        RepoLockTimes lock_times;
        char *const *tags;
        const RepoStream *stream; /* NULL: the paths of args are walked */
        Moment started;           /* 0: now; what the next run compares times of change with */
        unsigned uploads;         /* at a time and target; 0: 2 */
        usec_t index_interval;    /* 0: PACKER_INDEX_INTERVAL */
        bool skip_verify;         /* do not open and compare what was sealed before it is uploaded */
} RepoBackupArgs;

typedef struct RepoBackupResult {
        BackupResult base; /* without objects */
        Id *snapshots;     /* of each target; null where it failed */
        TreeCounts counts;
        uint64_t new_blobs, new_bytes; /* plain, that a target did not have */
} RepoBackupResult;

#define REPO_BACKUP_RESULT_NULL ((RepoBackupResult){ .base.state = ARCHIVE_FAILED })

void repo_backup_result_done(RepoBackupResult *r);

/* Blocks until done. Negative errno only for what is wrong with the arguments (with a failure) or when
 * memory ended before anything began; every other outcome is in *ret. */
int repository_backup(const RepoBackupArgs *args, RepoBackupResult *ret,
                      Failure *reterr_failure) _warn_unused_;
