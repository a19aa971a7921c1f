#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The backup of files into an archive: one pass over the sources, a pipeline of threads with bounded
 * buffers, several targets at once. Memory does not depend on the sources; there are no temporary files.
 *
 * A target that fails or stalls is dropped and the others go on. Nothing is left under a final name on a
 * target that failed; the manifest is committed last. What could not be read is named, and makes the
 * outcome partial. */

#include <stdatomic.h>

#include "archive/outcome.h"
#include "base/failure.h"
#include "base/times.h"
#include "crypto/age.h"
#include "crypto/digest.h"
#include "storage/volumes.h"

#define BACKUP_TARGETS_MAX 16 /* a relay among them holds 8 MiB */
#define BACKUP_LEVEL_MIN 1
#define BACKUP_LEVEL_MAX 19
/* A source on a network or FUSE file system that does not answer for this long is given up, by name. */
#define BACKUP_SOURCE_STALL (30 * USEC_PER_SEC)
/* A target that takes no byte for this long while others wait is dropped. */
#define BACKUP_TARGET_STALL (5 * USEC_PER_MINUTE)

typedef enum BackupPhase {
        BACKUP_READING,
        BACKUP_COMMITTING,
        _BACKUP_PHASE_MAX,
        _BACKUP_PHASE_INVALID = -22, /* -EINVAL */
} BackupPhase;

/* "reading", "committing". */
DECLARE_STRING_TABLE(backup_phase, BackupPhase);

typedef struct BackupProgress {
        BackupPhase phase;
        uint64_t bytes_read;    /* content of files */
        uint64_t bytes_written; /* to the target that is furthest */
        uint64_t files_done;    /* everything but directories */
        char *current;          /* absolute path, raw bytes; NULL before the first */
} BackupProgress;

typedef struct BackupTarget {
        Storage *storage;
        const char *key; /* "web-1/etc/20261122T221501.123Z-12-1/", attempt and '/' included */
} BackupTarget;

/* archive/streams.h */
typedef struct BackupStreams BackupStreams;

typedef struct BackupArgs {
        char *const *paths; /* sources: absolute, NULL-terminated, raw bytes */
        /* NULL: the paths are walked. Else they only name what these streams are of. */
        const BackupStreams *streams;
        char *const *excludes;
        bool one_file_system;
        bool follow_symlinks;
        int level;
        const AgeRecipient *recipients; /* none: not encrypted */
        size_t n_recipients;
        const BackupTarget *targets;
        size_t n_targets;
        const atomic_bool *cancel; /* the storages should have the same */
        /* For the manifest. */
        uint64_t run, attempt, node_id, task_id;
        const char *node, *task;
        /* Callbacks, all with userdata, any may be NULL. Progress and log come from the calling thread
         * alone, progress twice a second and when the phase changes. allowed is asked for every path before
         * it is opened, from another thread: 0 or negative errno. */
        void *userdata;
        void (*on_progress)(void *userdata, const BackupProgress *p);
        void (*on_log)(void *userdata, ArchiveLogLevel level, const char *text);
        int (*allowed)(void *userdata, const char *path);
        /* Limits; 0: the defaults above. */
        usec_t source_stall, target_stall;
        /* Of one object, a multiple of VOLUME_UNIT; 0: as much as each of the targets takes. What is larger
         * is cut into volumes. */
        uint64_t volume_max;
} BackupArgs;

typedef struct BackupObject {
        char *name;
        uint64_t size; /* this and the digest: of all volumes together */
        uint8_t sha256[SHA256_SIZE];
        Volume *volumes; /* at least one, of which the name is */
        size_t n_volumes;
        void *age_header; /* NULL: not encrypted */
        size_t age_header_size;
} BackupObject;

enum {
        BACKUP_DATA,
        BACKUP_ENTRIES,
        BACKUP_MANIFEST,
        _BACKUP_OBJECTS
};

typedef struct BackupTargetResult {
        uint64_t id;
        bool succeeded;
        uint64_t size; /* of all objects; 0 when it failed */
        /* A thread hangs in a call to this storage, which therefore must never be freed; end the process
         * soon. */
        bool abandoned;
        Failure failure;
} BackupTargetResult;

typedef struct BackupResult {
        ArchiveState state;
        Failure failure; /* of failed, cancelled: why; of partial: the first reason */
        uint64_t bytes_read, bytes_written;
        uint64_t files; /* stored, everything but directories */
        uint64_t directories;
        uint64_t skipped;  /* sockets, and what vanished */
        usec_t first_read; /* wall clock of the first byte read; 0: none */
        ArchiveProblem *errors;
        size_t n_errors;
        uint64_t errors_total; /* lost or changed; errors has the first of them */
        uint64_t lost_total;
        BackupObject objects[_BACKUP_OBJECTS]; /* names are NULL unless a target committed */
        BackupTargetResult *targets;           /* as args->targets */
        size_t n_targets;
} BackupResult;

#define BACKUP_RESULT_NULL ((BackupResult){ .state = ARCHIVE_FAILED })

void backup_result_done(BackupResult *r);

/* Blocks until done. Negative errno only for what is wrong with the arguments (with a failure) or when
 * memory ended before anything began; every other outcome is in *ret. */
int archive_backup(const BackupArgs *args, BackupResult *ret, Failure *reterr_failure) _warn_unused_;
