#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a job answers: the "result" of a backup and of a restore, and entries of listings. */

#include "wire/command.h"

typedef enum ResultStatus {
        RESULT_SUCCEEDED,
        RESULT_PARTIAL,
        RESULT_FAILED,
        RESULT_CANCELLED,
        _RESULT_STATUS_MAX,
        _RESULT_STATUS_INVALID = -EINVAL,
} ResultStatus;

DECLARE_STRING_TABLE(result_status, ResultStatus);

#define RESULT_ERRORS_MAX 100      /* named per run; the total is counted beyond */
#define RESULT_OBJECTS_MAX 4096    /* of one archive, each volume counted */
#define RESULT_AGE_HEADER_MAX 8192 /* some 80 recipients */

/* A path that could not be read or written. */
typedef struct ResultError {
        char *path;
        char *code;
        char *message;
} ResultError;

typedef struct ResultObject {
        char *name;
        uint64_t size;
        uint8_t sha256[32];
        char *age_header; /* base64; NULL: not encrypted */
} ResultObject;

typedef struct ResultTarget {
        uint64_t target_id;
        bool succeeded;
        char *key;
        uint64_t size;
        uint8_t sha256[32]; /* of the manifest there */
        char *snapshot;     /* in a repository, instead of a manifest: 64 digits */
        char *error;        /* NULL: none */
} ResultTarget;

/* What the results of all kinds of runs have. */
typedef struct ResultFigures {
        uint64_t bytes_read;
        uint64_t bytes_written;
        uint64_t files;
        uint64_t skipped;
        ResultError *errors;
        size_t n_errors;
        uint64_t errors_total; /* n_errors of them are named */
} ResultFigures;

typedef struct BackupOutcome {
        ResultFigures figures;
        uint64_t lost_total; /* of the errors: content is missing in the archive. Not told: all of them */
        ResultObject *objects;
        size_t n_objects;
        bool has_manifest;
        uint8_t manifest_sha256[32];
        ResultTarget *targets;
        size_t n_targets;
        usec_t first_read_usec; /* wall clock; 0: nothing was read */
        /* Of repositories: files against the snapshot before; bytes that were new, and of all files. */
        bool has_counts;
        uint64_t files_new, files_changed, files_unchanged;
        uint64_t bytes_new, bytes_total;
} BackupOutcome;

#define BACKUP_OUTCOME_NULL ((BackupOutcome){})
void backup_outcome_done(BackupOutcome *o);
int backup_outcome_build(const BackupOutcome *o, json_t **ret) _warn_unused_;
int backup_outcome_parse(const json_t *json, BackupOutcome *ret, Failure *reterr_failure) _warn_unused_;

/* {"bytes_read","bytes_written","files","skipped","errors":[…],"errors_total","destination":P} */
typedef struct RestoreOutcome {
        ResultFigures figures;
        char *destination; /* as resolved; NULL: in place */
} RestoreOutcome;

#define RESTORE_OUTCOME_NULL ((RestoreOutcome){})
void restore_outcome_done(RestoreOutcome *o);
int restore_outcome_build(const RestoreOutcome *o, json_t **ret) _warn_unused_;
int restore_outcome_parse(const json_t *json, RestoreOutcome *ret, Failure *reterr_failure) _warn_unused_;

/* One entry of browse and list_dir. */
typedef enum EntryType {
        ENTRY_FILE,
        ENTRY_DIRECTORY,
        ENTRY_SYMLINK,
        ENTRY_HARDLINK,
        ENTRY_FIFO,
        ENTRY_CHARACTER,
        ENTRY_BLOCK,
        _ENTRY_TYPE_MAX,
        _ENTRY_TYPE_INVALID = -EINVAL,
} EntryType;

DECLARE_STRING_TABLE(entry_type, EntryType);

typedef struct ListingEntry {
        const char *name;
        const char *path;
        EntryType type;
        uint64_t size;
        usec_t mtime;
        uint32_t mode; /* permission bits with set-id and sticky */
        uint32_t uid;
        uint32_t gid;
        const char *user; /* "" or NULL: without a name */
        const char *group;
        const char *target; /* of a link, else NULL */
} ListingEntry;

/* New reference; NULL when out of memory. */
json_t *listing_entry_build(const ListingEntry *e);
/* {"entries":[…],"next_cursor":…}; takes over entries. next_cursor NULL: the end. */
int listing_build(json_t *entries, const char *next_cursor, json_t **ret) _warn_unused_;

/* test_storage: {"writable","free_bytes","total_bytes"}; UINT64_MAX: unknown, null. */
int storage_usage_build(bool writable, uint64_t free_bytes, uint64_t total_bytes,
                        json_t **ret) _warn_unused_;
