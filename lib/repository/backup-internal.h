#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Shared by backup.c (the run) and backup-target.c (one repository of it). */

#include <pthread.h>

#include "archive/report.h"
#include "repository/backup.h"
#include "repository/blob.h"
#include "repository/lock-watch.h"

typedef struct BackupSide {
        Repository *repository; /* weak */
        const RepoBackupArgs *args;
        Report *report; /* weak */
        PackPool *pool; /* weak; of all sides */
        RepoLockWatch *lock;
        RepoIndex *index;
        BlobReader *reader, *ahead; /* of the walk, and of the thread that is ahead of it */
        Packer *packer;
        bool has_parent;
        Id parent;
        Snapshot parent_snapshot;
        bool committed;
        Id snapshot;
        int error; /* negative: it is left out */
        Failure failure;
} BackupSide;

void backup_side_init(BackupSide *s, Repository *r, const RepoBackupArgs *args, Report *report,
                      PackPool *pool);
void backup_side_done(BackupSide *s);
/* Takes the lock, reads the index and finds the parent. */
int backup_side_open(BackupSide *s) _warn_unused_;
/* Writes what is left of packs and index, looks whether the lock still stands, and writes the snapshot. */
int backup_side_commit(BackupSide *s, const Snapshot *snapshot) _warn_unused_;
/* Stops the packer when the lock is lost: what this run relies on may be pruned. */
void backup_side_look(BackupSide *s);
/* Tells what stopped the packer, if anything did: of a run that does not come to the commit. */
void backup_side_settle(BackupSide *s);
