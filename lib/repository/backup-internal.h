#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Shared by backup.c (the run) and backup-target.c (one repository of it). */

#include <pthread.h>

#include "archive/report.h"
#include "repository/backup.h"
#include "repository/blob.h"
#include "repository/lock-held.h"

typedef struct BackupSide {
        Repository *repository; /* weak */
        const RepoBackupArgs *args;
        Report *report; /* weak */
        RepoLockHeld *lock;
        pthread_mutex_t lock_mutex; /* of lock: the watch refreshes it, the commit looks at it */
        usec_t refresh_next;        /* CLOCK_MONOTONIC */
        RepoIndex *index;
        BlobReader *reader;
        Packer *packer;
        bool has_parent;
        Id parent;
        Snapshot parent_snapshot;
        bool committed;
        Id snapshot;
        int error; /* negative: it is left out */
        Failure failure;
} BackupSide;

int backup_side_init(BackupSide *s, Repository *r, const RepoBackupArgs *args, Report *report) _warn_unused_;
void backup_side_done(BackupSide *s);
/* Takes the lock, reads the index and finds the parent. */
int backup_side_open(BackupSide *s) _warn_unused_;
/* Writes what is left of packs and index, looks whether the lock still stands, and writes the snapshot. */
int backup_side_commit(BackupSide *s, const Snapshot *snapshot) _warn_unused_;
/* Refreshes the lock where it is time; stops the packer where that was not possible for too long. */
void backup_side_refresh(BackupSide *s);
