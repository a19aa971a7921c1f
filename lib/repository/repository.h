#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A repository on a storage: its files, its index, its blobs. May be used by several threads at once.
 *
 * Storage is not trusted: what is read was sealed with our key and is what its name says, or it is an error
 * (-EBADMSG, code REPOSITORY_DAMAGED) that names the file. Other errors are the storage's. */

#include "base/buffer.h"
#include "repository/config.h"
#include "repository/file.h"
#include "repository/index.h"
#include "repository/snapshot.h"
#include "storage/storage.h"

/* A storage that does not list for so long what was stored is not one to work with. */
#define REPO_LISTED_MAX USEC_PER_MINUTE

typedef enum RepoFileType {
        REPO_FILE_CONFIG,
        REPO_FILE_KEY,
        REPO_FILE_PACK,
        REPO_FILE_INDEX,
        REPO_FILE_SNAPSHOT,
        REPO_FILE_LOCK,
        _REPO_FILE_TYPE_MAX,
        _REPO_FILE_TYPE_INVALID = -22, /* -EINVAL */
} RepoFileType;

/* As people call them: "config", "key", "pack", "index", "snapshot", "lock". */
DECLARE_STRING_TABLE(repo_file_type, RepoFileType);

typedef struct Repository Repository;

typedef struct RepositoryArgs {
        Storage *storage;     /* outlives the repository */
        const char *prefix;   /* of its keys: "" or with a '/' at its end */
        const char *password; /* not kept */
        /* A directory for copies of indexes and snapshots, as they are stored, in a folder for each
         * repository; it may vanish at any time. NULL: none. */
        const char *cache;
} RepositoryArgs;

/* Makes a repository of version 2. hostname, username: for people, may be NULL. -EEXIST with
 * REPOSITORY_EXISTS. */
typedef struct RepositoryNew {
        uint64_t chunker_polynomial;
        ChunkerKind chunker;
        const char *hostname, *username;
        /* The master key is made of the password, which has to be 256 random bits: whoever makes this
         * repository, at the same time or after one that was interrupted, makes the same. Keys that are
         * there are no reason to refuse then. */
        bool derived;
} RepositoryNew;

int repository_init(const RepositoryArgs *args, const RepositoryNew *n, Failure *reterr_failure)
                _warn_unused_;

/* A master key that was made of the password is made again, without a key file. -ENOENT with
 * REPOSITORY_MISSING: there is none; -EKEYREJECTED with REPOSITORY_PASSWORD: it was not made of it, and no
 * key file takes the password; -EPROTONOSUPPORT with REPOSITORY_UNSUPPORTED. */
int repository_open(const RepositoryArgs *args, Repository **ret, Failure *reterr_failure) _warn_unused_;
Repository *repository_free(Repository *r);

const RepoConfig *repository_config(const Repository *r);
const CipherKey *repository_key(const Repository *r);
Storage *repository_storage(const Repository *r);
const char *repository_prefix(const Repository *r);

/* How many threads are to read from it at a time; wanted: 0: as many as are good. Two keep two cores busy;
 * where each answer comes over a network, as many again wait for theirs. */
unsigned repository_read_threads(const Repository *r, unsigned wanted);

/* --- Files ------------------------------------------------------------------------------------------- */

/* The key of a file in the storage, allocated. id: NULL for the config. */
int repository_path(const Repository *r, RepoFileType type, const Id *id, char **ret) _warn_unused_;
/* Stores JSON as an index, a snapshot or a lock; gives its name. */
int repository_put(Repository *r, RepoFileType type, const void *json, size_t n, Id *ret,
                   Failure *reterr_failure) _warn_unused_;
/* Reads a file (not a pack or a key). size: as listed; UINT64_MAX: not known. */
int repository_get(Repository *r, RepoFileType type, const Id *id, uint64_t size, RepoFile *ret,
                   Failure *reterr_failure) _warn_unused_;
/* Gives 1 where the storage hides it and keeps an older version. */
int repository_remove(Repository *r, RepoFileType type, const Id *id, Failure *reterr_failure) _warn_unused_;

/* Gives 0 to go on; anything else ends the listing, which gives it back. */
typedef int (*RepositoryListFunc)(void *userdata, const Id *id, uint64_t size);
/* Files whose names are ids, ascending; others are passed over. */
int repository_list(Repository *r, RepoFileType type, RepositoryListFunc func, void *userdata,
                    Failure *reterr_failure) _warn_unused_;

/* --- What is in it ----------------------------------------------------------------------------------- */

/* Adds all index files. Snapshots that were listed before it are complete. */
int repository_load_index(Repository *r, RepoIndex *x, Failure *reterr_failure) _warn_unused_;

int repository_get_snapshot(Repository *r, const Id *id, Snapshot *ret, Failure *reterr_failure)
                _warn_unused_;
/* Each snapshot with its name, in the order of the names; it is gone after the call, but func may take its
 * content and leave SNAPSHOT_NULL. One that cannot be read is an error. */
typedef int (*RepositorySnapshotFunc)(void *userdata, const Id *id, Snapshot *s);
int repository_list_snapshots(Repository *r, RepositorySnapshotFunc func, void *userdata,
                              Failure *reterr_failure) _warn_unused_;
/* The snapshot whose name begins so, or the newest one for "latest". -ENOENT with SNAPSHOT_MISSING;
 * -ENOTUNIQ with SNAPSHOT_AMBIGUOUS. */
int repository_find_snapshot(Repository *r, const char *name, Id *ret_id, Snapshot *ret,
                             Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(Repository *, repository_free);
