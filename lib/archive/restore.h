#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The restore of an archive: everything or chosen paths, into a directory (where each path keeps its full
 * length) or back to where it came from.
 *
 * Looked at before the destination is touched: the manifest and its digest, the objects' sizes and headers,
 * the chosen paths, free space, the destination, and (conflict fail) that nothing is in the way. Every frame
 * is checked before anything of it is written. A storage that fails is left for the next copy, at the place
 * where it failed.
 *
 * Storage and destination are hostile: the destination is opened once, as the administrator named it; below
 * it no symbolic link is followed, and nothing is ever written outside of it. */

#include <stdatomic.h>

#include "archive/outcome.h"
#include "base/failure.h"
#include "base/times.h"
#include "crypto/age.h"
#include "crypto/digest.h"
#include "storage/storage.h"
#include "wire/command.h"

#define RESTORE_PATHS_MAX 1000 /* chosen paths */

typedef enum RestorePhase {
        RESTORE_CHECKING,
        RESTORE_WRITING,
        RESTORE_SYNCING,
        _RESTORE_PHASE_MAX,
        _RESTORE_PHASE_INVALID = -22, /* -EINVAL */
} RestorePhase;

/* "checking", "writing", "syncing". */
DECLARE_STRING_TABLE(restore_phase, RestorePhase);

typedef struct RestoreProgress {
        RestorePhase phase;
        uint64_t bytes_read;    /* of the tar stream */
        uint64_t bytes_total;   /* likewise, all that will be read; 0 while it is not known */
        uint64_t bytes_written; /* content of files */
        uint64_t files_done;    /* everything but directories */
        uint64_t files_total;   /* 0: not known */
        const char *current;    /* absolute path in the archive, raw bytes; NULL before the first */
} RestoreProgress;

/* Where an archive lies. */
typedef struct ArchivePlace {
        Storage *storage;
        const char *key; /* "web-1/etc/20261122T221501.123Z-12-1/", with its '/' */
} ArchivePlace;

/* An archive in one or several storages, and what opens it. */
typedef struct ArchiveSource {
        const ArchivePlace *copies; /* in the order in which they are tried; at least one */
        size_t n_copies;
        const uint8_t *manifest_sha256; /* SHA256_SIZE bytes; NULL: not known, nothing is authenticated */
        bool encrypted;
        /* Of encrypted archives: file keys of AGE_FILE_KEY_SIZE bytes. */
        const uint8_t *data_key, *entries_key, *manifest_key;
} ArchiveSource;

typedef struct RestoreArgs {
        ArchiveSource source;
        /* Exactly one of the two: a directory, absolute, made where it is missing; or back in place. */
        const char *destination;
        bool in_place;
        char *const *paths; /* absolute, NULL-terminated, raw bytes; NULL or empty: everything */
        /* fail: nothing is restored when anything is in the way. overwrite: what is in the way is replaced.
         * skip: it stays, and is counted. Directories are merged. */
        RestoreConflict conflict;
        const atomic_bool *cancel; /* may be NULL; the storages should have the same */
        /* Callbacks, all with userdata, any may be NULL, called by the calling thread. Progress comes twice
         * a second and when the phase changes. allowed is asked for each directory that things are restored
         * into, resolved, before it is touched: 0 or negative errno. */
        void *userdata;
        void (*on_progress)(void *userdata, const RestoreProgress *p);
        void (*on_log)(void *userdata, ArchiveLogLevel level, const char *text);
        int (*allowed)(void *userdata, const char *path);
        /* Gives a regular file that was written as from the name to, in the same directory, replacing what
         * is there: for files that are more than a file. 0 or negative errno, with a failure. NULL: a
         * rename. */
        int (*replace)(void *userdata, int dirfd, const char *from, const char *to,
                       Failure *reterr_failure);
} RestoreArgs;

typedef struct RestoreResult {
        ArchiveState state;
        Failure failure; /* of failed, cancelled: why; of partial: the first reason */
        uint64_t bytes_read, bytes_written;
        uint64_t files; /* restored, everything but directories */
        uint64_t directories;
        uint64_t skipped; /* in the way, with conflict skip */
        ArchiveProblem *errors;
        size_t n_errors;
        uint64_t errors_total;
        char **roots; /* the directories that were restored into, as they were resolved */
} RestoreResult;

#define RESTORE_RESULT_NULL ((RestoreResult){ .state = ARCHIVE_FAILED })

void restore_result_done(RestoreResult *r);

/* Blocks until done. Negative errno only for what is wrong with the arguments (with a failure) or when
 * memory ended before anything began; every other outcome is in *ret. */
int archive_restore(const RestoreArgs *args, RestoreResult *ret, Failure *reterr_failure) _warn_unused_;
