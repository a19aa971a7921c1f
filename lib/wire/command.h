#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a command asks of a node: its kind, its spec (nothing secret is in it) and what a job answers. One
 * struct per kind, each with parse (JSON → struct, for the node) and build (struct → JSON, for the master).
 * Parsing ignores unknown fields: master and node may be of different versions. */

#include <errno.h>

#include "base/failure.h"
#include "wire/database.h"
#include "wire/hooks.h"
#include "wire/json.h"

typedef enum CommandKind {
        COMMAND_BACKUP,
        COMMAND_RESTORE,
        COMMAND_VERIFY,
        COMMAND_PRUNE,
        COMMAND_LIST_DIR,
        COMMAND_DISCOVER_DATABASES,
        COMMAND_RCLONE_BACKENDS,
        COMMAND_TEST_STORAGE,
        COMMAND_TEST_TASK,
        COMMAND_BROWSE,
        COMMAND_SELF_CHECK,
        COMMAND_READ_FILE,
        _COMMAND_KIND_MAX,
        _COMMAND_KIND_INVALID = -EINVAL,
} CommandKind;

DECLARE_STRING_TABLE(command_kind, CommandKind);

/* Short questions, which have slots of their own on a node so that they are answered while backups run. */
bool command_kind_is_probe(CommandKind kind);

/* Limits of specs, so that a row of the queue stays small. */
#define SPEC_PATHS_MAX 1024
#define SPEC_EXCLUDES_MAX 1024
#define SPEC_TARGETS_MAX 16
#define SPEC_RECIPIENTS_MAX 16
#define SPEC_COPIES_MAX 16
#define SPEC_SIZE_MAX (1U << 20)

/* Where something is stored. prefix is used by backups, where the job appends
 * "<attempt>/" to that of an archive, and by whatever reads a repository. */
typedef struct SpecTarget {
        uint64_t id;
        char *name;
        char *type;
        json_t *config; /* an object */
        char *prefix;   /* may be NULL */
        bool make;      /* of a backup into a repository: nothing was ever stored in it, so it may be made */
} SpecTarget;

#define SPEC_TARGET_NULL ((SpecTarget){})
void spec_target_done(SpecTarget *t);
int spec_target_build(const SpecTarget *t, json_t **ret) _warn_unused_;
/* The error sticks in r. */
int spec_target_read(JsonReader *r, SpecTarget *ret);

/* In the spec of what locks repositories: names of commands ("command-7-1") that worked in them, ended
 * without success, and provably work there no more, so that locks of theirs keep nobody out. */
#define SPEC_ENDED_MAX 64
int spec_add_ended(json_t *spec, char *const *names) _warn_unused_;
/* None: *ret is NULL. */
int spec_read_ended(const json_t *spec, char ***ret, Failure *reterr_failure) _warn_unused_;

/* Forms of a backup. */
#define FORMAT_ARCHIVE "archive"
#define FORMAT_REPOSITORY "repository"

typedef struct BackupSpec {
        uint64_t run;
        uint64_t task_id;
        char *task_name;
        uint64_t node_id;
        char *node_name;
        SourceType type;
        DatabaseSource database; /* of a type that is no file: instead of the next four */
        char **paths;
        char **excludes;
        bool one_file_system;
        bool follow_symlinks;
        char *format;      /* "archive", "repository" */
        char *compression; /* "zstd" */
        uint32_t level;
        char **recipients; /* none: not encrypted */
        TaskHooks hooks;
        SpecTarget *targets;
        size_t n_targets;
} BackupSpec;

#define BACKUP_SPEC_NULL ((BackupSpec){ .hooks = TASK_HOOKS_NULL })
void backup_spec_done(BackupSpec *s);
int backup_spec_build(const BackupSpec *s, json_t **ret) _warn_unused_;
int backup_spec_parse(const json_t *json, BackupSpec *ret, Failure *reterr_failure) _warn_unused_;

/* One stored archive: the target and key to read first, and copies of the same bytes. */
typedef struct ArchiveCopy {
        SpecTarget target;
        char *key; /* ends in '/' */
} ArchiveCopy;

typedef struct ArchiveRef {
        ArchiveCopy primary;
        uint8_t manifest_sha256[32];
        bool encrypted;
        ArchiveCopy *copies;
        size_t n_copies;
} ArchiveRef;

#define ARCHIVE_REF_NULL ((ArchiveRef){})
void archive_ref_done(ArchiveRef *a);
int archive_ref_build(const ArchiveRef *a, json_t **ret) _warn_unused_;
int archive_ref_read(JsonReader *r, ArchiveRef *ret) _warn_unused_;

/* A snapshot in one repository; prefix and secrets are those of its target. */
typedef struct SnapshotCopy {
        SpecTarget target;
        char *id; /* 64 digits */
} SnapshotCopy;

/* The same backup in one repository or more: which to read first, and so on. */
typedef struct SnapshotRef {
        SnapshotCopy *copies;
        size_t n; /* 0: there is an archive instead */
} SnapshotRef;

#define SNAPSHOT_REF_NULL ((SnapshotRef){})
void snapshot_ref_done(SnapshotRef *s);
int snapshot_ref_build(const SnapshotRef *s, json_t **ret) _warn_unused_;
/* The field "snapshots" of r; absent: n is 0. The error sticks in r. */
int snapshot_ref_read(JsonReader *r, SnapshotRef *ret);
bool snapshot_id_is_valid(const char *id);

/* How the specs of runs begin that are about what another one stored: "run", "source_run", and "snapshots"
 * where that is not NULL, of which there has to be one. The error sticks in r. */
int spec_about_build(uint64_t run, uint64_t source_run, const SnapshotRef *snapshots, json_t **ret)
                _warn_unused_;
int spec_about_read(JsonReader *r, uint64_t *ret_run, uint64_t *ret_source_run, SnapshotRef *ret_snapshots);

typedef enum RestoreConflict {
        RESTORE_CONFLICT_FAIL,
        RESTORE_CONFLICT_OVERWRITE,
        RESTORE_CONFLICT_SKIP,
        RESTORE_CONFLICT_RESUME, /* overwrite, but what an earlier restore has done is taken as right */
        _RESTORE_CONFLICT_MAX,
        _RESTORE_CONFLICT_INVALID = -EINVAL,
} RestoreConflict;

DECLARE_STRING_TABLE(restore_conflict, RestoreConflict);

typedef struct RestoreSpec {
        uint64_t run;
        uint64_t source_run;
        ArchiveRef archive;
        SnapshotRef snapshots;    /* instead of the archive */
        char *destination;        /* NULL: in place */
        bool in_place;            /* asked for by name, never a default */
        DatabaseRestore database; /* into a server: neither of the two */
        char **paths;             /* none: everything */
        RestoreConflict conflict;
        SourceType type; /* what the backup is of */
        bool force;      /* over databases that are in use */
} RestoreSpec;

#define RESTORE_SPEC_NULL ((RestoreSpec){})
void restore_spec_done(RestoreSpec *s);
int restore_spec_build(const RestoreSpec *s, json_t **ret) _warn_unused_;
int restore_spec_parse(const json_t *json, RestoreSpec *ret, Failure *reterr_failure) _warn_unused_;

#define LISTING_LIMIT_DEFAULT 1000
#define LISTING_LIMIT_MAX 5000 /* entries of one page: 5,000 of the longest names stay under a job frame */
#define LISTING_CURSOR_MAX 8192

/* browse (one level of a backup) and list_dir (one directory of the node): what is browsed is an archive or
 * a snapshot. */
typedef struct ListingSpec {
        ArchiveRef archive;
        SnapshotRef snapshots; /* instead of the archive */
        char *path;            /* "" for the roots of an archive */
        uint32_t limit;
        char *cursor; /* "" at the start */
} ListingSpec;

#define LISTING_SPEC_NULL ((ListingSpec){})
void listing_spec_done(ListingSpec *s);
int listing_spec_build(const ListingSpec *s, CommandKind kind, json_t **ret) _warn_unused_;
int listing_spec_parse(const json_t *json, CommandKind kind, ListingSpec *ret, Failure *reterr_failure)
                _warn_unused_;

/* What a restore, a look or a read is of: an archive, or snapshots. */
int backup_ref_build(json_t *json, const ArchiveRef *archive, const SnapshotRef *snapshots) _warn_unused_;
/* The error sticks in r. */
int backup_ref_read(JsonReader *r, ArchiveRef *archive, SnapshotRef *snapshots);

#define READ_LENGTH_MAX (2U << 20) /* in base64 under a job frame, and under the body of a result */

/* read_file: a piece of one file of a backup. */
typedef struct ReadSpec {
        ArchiveRef archive;
        SnapshotRef snapshots; /* instead of the archive */
        char *path;            /* absolute */
        uint64_t offset;
        uint32_t length; /* 1 to READ_LENGTH_MAX */
} ReadSpec;

#define READ_SPEC_NULL ((ReadSpec){})
void read_spec_done(ReadSpec *s);
int read_spec_build(const ReadSpec *s, json_t **ret) _warn_unused_;
int read_spec_parse(const json_t *json, ReadSpec *ret, Failure *reterr_failure) _warn_unused_;
/* What a job answers: {"size":…,"content":"<base64>"}, the size being that of the whole file. */
int read_result_build(uint64_t size, const void *content, size_t n, json_t **ret) _warn_unused_;

/* verify: whether the repositories that hold a backup are whole. */
typedef struct VerifySpec {
        uint64_t run;
        uint64_t source_run;
        SnapshotRef snapshots;  /* each copy is looked at */
        uint32_t share, shares; /* of the data, which share of how many is read; 0 of 0: none */
} VerifySpec;

#define VERIFY_SHARES_MAX 1000

#define VERIFY_SPEC_NULL ((VerifySpec){})
void verify_spec_done(VerifySpec *s);
int verify_spec_build(const VerifySpec *s, json_t **ret) _warn_unused_;
int verify_spec_parse(const json_t *json, VerifySpec *ret, Failure *reterr_failure) _warn_unused_;
/* The fields "share" and "shares", as requests have them too. The error sticks in r. */
int verify_shares_read(JsonReader *r, uint32_t *ret_share, uint32_t *ret_shares);

/* test_storage: {"target":{…}} */
int test_storage_spec_build(const SpecTarget *target, json_t **ret) _warn_unused_;
int test_storage_spec_parse(const json_t *json, SpecTarget *ret, Failure *reterr_failure) _warn_unused_;

/* The plain text of a command's "secrets". targets: id → object; repository: id → {"password","polynomial"};
 * file_keys: 16 bytes each. */
typedef struct CommandSecrets {
        json_t *targets;      /* object by decimal id; may be NULL */
        json_t *repositories; /* the same */
        char *database;       /* the password of the server of databases; may be NULL */
        bool has_file_keys;
        uint8_t key_data[16];
        uint8_t key_entries[16];
        uint8_t key_manifest[16];
} CommandSecrets;

#define COMMAND_SECRETS_NULL ((CommandSecrets){})
/* Wipes the keys. */
void command_secrets_done(CommandSecrets *s);
int command_secrets_build(const CommandSecrets *s, json_t **ret) _warn_unused_;
int command_secrets_parse(const json_t *json, CommandSecrets *ret, Failure *reterr_failure) _warn_unused_;
/* Borrowed; NULL when the target has none. */
const json_t *command_secrets_target(const CommandSecrets *s, uint64_t id);

#define REPOSITORY_PASSWORD_MAX 1024

/* What opens a repository, or makes it. */
typedef struct RepositorySecret {
        const char *password;
        uint64_t polynomial; /* of the chunker */
} RepositorySecret;

/* {"password","polynomial":"3f…"}, in hexadecimal digits. Takes over nothing. */
int repository_secret_build(const RepositorySecret *s, json_t **ret) _warn_unused_;
/* The password is borrowed. -EBADMSG: no such object. */
int repository_secret_parse(const json_t *json, RepositorySecret *ret) _warn_unused_;
/* -ENOKEY: the command brought none for this target. */
int command_secrets_repository(const CommandSecrets *s, uint64_t target_id, RepositorySecret *ret)
                _warn_unused_;
int command_secrets_add_repository(CommandSecrets *s, uint64_t target_id, const RepositorySecret *secret)
                _warn_unused_;
