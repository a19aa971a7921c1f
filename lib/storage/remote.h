#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Storage in a tree of files on a server (SFTP, FTP, WebDAV): what these have in common. A key is a path
 * below the configured one.
 *
 * An object is written under a temporary name in the directory REMOTE_TEMP of the target, its size is
 * checked, and it is renamed in a way that refuses to replace another. So nobody sees half an object, a put
 * that was killed leaves one file in a known place, and the first put of every Storage removes what others
 * left there more than REMOTE_LEFTOVER_AGE ago, by the server's own clock.
 *
 * A session is one connection; it serves one caller at a time. Idle ones are kept for the next call. What
 * fails because a connection was lost is repeated over a new one, with growing pauses. */

#include <pthread.h>

#include "base/backoff.h"
#include "storage/backend.h"

#define REMOTE_TEMP ".backupx-tmp"
/* A put moves bytes or fails within the stall limit; only its source may make it wait for longer. */
#define REMOTE_LEFTOVER_AGE USEC_PER_DAY
/* Entries of one directory that a listing holds at a time, and how deep it goes: a server cannot make it
 * grow without end. */
#define REMOTE_LIST_MAX 1000000U
#define REMOTE_DEPTH_MAX 64U
#define REMOTE_ERROR_MAX 256U

typedef struct RemoteEntry {
        char *name; /* one name, no path; of directories with a '/' at its end, which sorts them as keys */
        uint64_t size;
        usec_t modified; /* by the server's clock; 0: it does not say */
        bool is_directory;
} RemoteEntry;

typedef struct RemoteList {
        RemoteEntry *items;
        size_t n, allocated;
} RemoteList;

/* The head of a backend's session. */
typedef struct RemoteSession {
        Storage *storage;             /* weak */
        bool broken;                  /* the connection is of no more use */
        bool is_reused;               /* it was idle before this call: it may have died of that */
        usec_t end;                   /* 0: the cancel flag and the stall limit count; else only this time */
        usec_t retry_after;           /* of a server that is busy; 0: not said */
        char error[REMOTE_ERROR_MAX]; /* the server's words for the last error, or ours; may be empty */
} RemoteSession;

/* What a protocol does. All give 0 or an errno of storage.h and leave words in error; they set broken where
 * the connection failed. -EBUSY: the server wants to be asked later. */
typedef struct RemoteOps {
        bool keeps_pace; /* what it writes goes at the storage's rate already */
        bool is_slow;    /* to ask takes long: a name that is taken is noticed at the commit alone */
        /* Sets the failure. -ECONNRESET, -EHOSTUNREACH, -EBUSY are tried again. */
        int (*connect)(Storage *s, usec_t end, RemoteSession **ret, Failure *reterr_failure);
        void (*disconnect)(RemoteSession *x);
        /* Opens a new file for writing: -ENOENT without its directory, -EEXIST. The session is in it until
         * finish() or give_up(). size: of all that will be written, or UINT64_MAX. */
        int (*create)(RemoteSession *x, const char *path, uint64_t size);
        /* Opens a file of at least offset bytes again, to go on at offset; may be NULL. */
        int (*resume)(RemoteSession *x, const char *path, uint64_t offset);
        /* Gives how many bytes the server has taken, at least one. */
        ssize_t (*write)(RemoteSession *x, const void *data, size_t n);
        /* Closes; the file is durable where the protocol has a word for that. */
        int (*finish)(RemoteSession *x);
        /* Closes whatever is open; may leave the session broken. */
        void (*give_up)(RemoteSession *x);
        /* Fewer only at the end of the file. */
        ssize_t (*read)(RemoteSession *x, const char *path, uint64_t offset, void *buf, size_t n);
        /* name of ret stays NULL. */
        int (*stat)(RemoteSession *x, const char *path, RemoteEntry *ret);
        /* Adds with remote_list_add(); other kinds of files are passed over. */
        int (*list)(RemoteSession *x, const char *path, RemoteList *list);
        /* -EEXIST, -ENOENT without the directory above. */
        int (*make_directory)(RemoteSession *x, const char *path);
        int (*remove)(RemoteSession *x, const char *path);
        /* Only where it is empty; may be NULL where the protocol has no such thing. */
        int (*remove_directory)(RemoteSession *x, const char *path);
        /* -EEXIST where to is there, -ENOENT without from or the directory of to. */
        int (*rename)(RemoteSession *x, const char *from, const char *to);
        int (*usage)(RemoteSession *x, const char *path, StorageUsage *ret); /* may be NULL */
} RemoteOps;

#define REMOTE_IDLE_MAX 4

typedef struct Remote {
        const RemoteOps *ops;
        char *place; /* for messages: "sftp://user@host/path" */
        char *base;  /* what stands before a key: "", or ends in '/' */
        bool read_back;
        /* What is created appears when it is finished, whole, and never otherwise: it is written under its
         * own name. Known when the first session is there. */
        bool direct;
        void *config; /* the backend's */

        pthread_mutex_t lock; /* of idle */
        RemoteSession *idle[REMOTE_IDLE_MAX];
        size_t n_idle;
        atomic_bool swept;
        atomic_bool has_temp; /* the directory of temporary files was made, or found */
} Remote;

/* Makes s->backend. path as configured. */
int remote_new(Storage *s, const RemoteOps *ops, const char *path, Remote **ret) _warn_unused_;
/* Ends the idle sessions and frees s->backend; gives its config, which is the caller's to free, or NULL. */
void *remote_close(Storage *s) _warn_unused_;

/* A text in a backend's config, which is NULL where nothing is configured; tables end with a NULL key. */
typedef struct RemoteText {
        const char *key;
        size_t offset;  /* of the char * in the config */
        bool is_secret; /* it is read from the secrets, and wiped */
} RemoteText;

/* Copies what is there. */
int remote_read_texts(const StorageConfig *from, const RemoteText *texts, void *config) _warn_unused_;
void remote_free_texts(const RemoteText *texts, void *config);

int remote_path(const Remote *m, const char *key, char **ret) _warn_unused_;
/* For backends that notice only when all was sent that a directory is missing: makes the one of temporary
 * files, once for each target that is open. path: of such a file. */
int remote_temp_prepare(RemoteSession *x, const char *path) _warn_unused_;
/* Copies the name; passes over "." and "..", and names that cannot be part of a key. -E2BIG: more than
 * REMOTE_LIST_MAX. */
int remote_list_add(RemoteList *list, const char *name, bool is_directory, uint64_t size, usec_t modified)
                _warn_unused_;
void remote_list_done(RemoteList *list);
/* The failure for people, by kind. */
int remote_failure(const Storage *s, int error, const char *what, const char *words, Failure *f);

/* Hands over a failure to where none is set; to may be NULL. */
void remote_failure_move(Failure *from, Failure *to);

/* --- Calls that are repeated over a new session ---------------------------------------------------------
 *
 *      RemoteTry t = remote_try(s, key, f);
 *
 *      while (remote_try_next(&t))
 *              t.result = ops->stat(t.session, path, &entry);
 *      return t.result;
 *
 * The failure is set at the end. */

typedef struct RemoteTry {
        Storage *storage;
        const char *what; /* for the failure: a key */
        Failure *failure, refused;
        RemoteSession *session;
        int result;
        bool started, keep; /* keep: the session stays with the caller after success */
        usec_t end;
        Backoff backoff;
} RemoteTry;

RemoteTry remote_try(Storage *s, const char *what, Failure *f);
bool remote_try_next(RemoteTry *t);
/* Without a second try; end as in RemoteSession. */
int remote_session_get(Storage *s, usec_t end, RemoteSession **ret, Failure *f) _warn_unused_;
/* Gives back a session that was kept, or ends it where it is broken. */
void remote_session_put(RemoteSession *x);
int remote_session_error(RemoteSession *x, int error, const char *format, ...) _printf_(3, 4);

/* --- For a StorageType --------------------------------------------------------------------------------- */

int remote_put_new(StoragePut *put, Failure *reterr_failure);
int remote_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure);
int remote_put_commit(StoragePut *put, const uint8_t sha256[static 32], Failure *reterr_failure);
void remote_put_free(StoragePut *put);
ssize_t remote_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                       Failure *reterr_failure);
int remote_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure);
int remote_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                Failure *reterr_failure);
int remote_remove(Storage *s, const char *key, Failure *reterr_failure);
int remote_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure);
/* Removes what dead puts left; own is the path of a file that was made just now. Never fails. */
void remote_sweep(Storage *s, const char *own);
