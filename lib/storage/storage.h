#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Storage: objects under keys, behind one vtable. Blocking; a Storage may be used by several threads at
 * once, a StoragePut by one.
 *
 * A key is a relative path of names joined by '/': never empty, no name is empty, "." or "..", no NUL, at
 * most STORAGE_KEY_MAX bytes. A prefix is a key with a '/' at its end, or "" for everything.
 *
 * What is put appears under its key at the commit, whole and durable, or not at all, and never replaces
 * another object. A listing that failed is an error, never an empty list. Storage is not trusted: what is
 * read is checked by whoever reads it.
 *
 * Errors are told apart by kind; what may pass was repeated before it is told:
 *
 *   -ENOENT                 OBJECT_NOT_FOUND     no such object
 *   -EEXIST                 OBJECT_EXISTS        the key is taken
 *   -EINVAL                 FIELD_INVALID, STORAGE_KEY_INVALID: a bad configuration, not a key
 *   -ENOSPC, -EDQUOT        STORAGE_FULL, STORAGE_QUOTA
 *   -EACCES, -EROFS, -EPERM STORAGE_DENIED, STORAGE_LOCKED: not allowed, and the failure says by whom
 *   -EBUSY                  STORAGE_THROTTLED    the server asks for fewer requests
 *   -EBADMSG                STORAGE_CHECKSUM     other bytes arrived than were sent
 *   -ECONNRESET             STORAGE_INTERRUPTED  the connection ended in the middle
 *   -EHOSTUNREACH           STORAGE_UNREACHABLE
 *   -EKEYREJECTED           STORAGE_CERTIFICATE  it is not the server that it should be
 *   -ETIMEDOUT              STORAGE_STALLED      no byte moved for longer than the stall limit
 *   -EFBIG                  STORAGE_TOO_LARGE    more than one object of this storage can hold
 *   -ECANCELED              CANCELLED            the cancel flag, within a second
 *
 * Anything else as the system gave it. */

#include <stdatomic.h>
#include <sys/types.h>

#include "base/failure.h"
#include "base/macros.h"
#include "base/times.h"

#define STORAGE_KEY_MAX 3072

/* Data that begins at a multiple of this, in memory and in the object, and is that long, may go to a disk
 * without a copy of it in the page cache: the largest logical block of disks in use, and a page. */
#define STORAGE_ALIGNMENT 4096

/* What limits an object is a multiple of this. */
#define STORAGE_OBJECT_UNIT (UINT64_C(1) << 20)

/* No byte moved for this long: the operation failed. A slow line that moves is not a failure. */
#define STORAGE_STALL_DEFAULT (2 * USEC_PER_MINUTE)
/* A failure that may pass is repeated for so long. Less than what makes a backup drop a target without
 * asking it, so that the cause is told. */
#define STORAGE_RETRY_DEFAULT (4 * USEC_PER_MINUTE)

struct json_t;

typedef struct Storage Storage;
typedef struct StoragePut StoragePut;

/* How to reach the master, for what goes through it. */
typedef struct StorageContext {
        const char *master_url; /* "https://backup.example.com:8340" */
        const char *ca_cert;    /* a file, or NULL for the system's */
        const char *pin;        /* "sha256//…": then the pin alone decides; or NULL */
        const char *proxy_url;  /* or NULL */
        bool insecure_tls;
        uint64_t attempt; /* of the command whose job this is */
} StorageContext;

typedef struct StorageConfig {
        uint64_t id;                  /* the target's */
        const char *name;             /* for messages; may be NULL */
        const char *type;             /* storage_types() */
        const struct json_t *config;  /* an object, or NULL */
        const struct json_t *secrets; /* an object, or NULL */
        StorageContext context;
        const atomic_bool *cancel; /* ends waits and retries; may be NULL */
        struct Pace *pace;         /* of all that goes over the network; may be NULL */
        usec_t stall;              /* 0: STORAGE_STALL_DEFAULT */
        usec_t retry;              /* 0: STORAGE_RETRY_DEFAULT */
        /* Of what is reached by system calls, which may never come back: a call during which nothing happens
         * for so long is given up, and all later ones are refused, with STORAGE_STALLED. What it hangs in
         * stays until the process ends. 0: calls are waited for. */
        usec_t patience;
} StorageConfig;

typedef struct StorageUsage {
        uint64_t free_bytes;
        uint64_t total_bytes; /* 0: the storage does not say */
} StorageUsage;

/* One object of a listing. Gives 0 to go on; anything else ends the listing, which gives it back. */
typedef int (*StorageListFunc)(void *userdata, const char *key, uint64_t size);

/* The types this build knows, NULL-terminated; beside these there is "rclone:BACKEND" for each backend of
 * the rclone of this host. */
const char *const *storage_types(void);

/* Checks the configuration without touching the storage. */
int storage_open(const StorageConfig *config, Storage **ret, Failure *reterr_failure) _warn_unused_;
Storage *storage_free(Storage *s);

uint64_t storage_id(const Storage *s);
const char *storage_name(const Storage *s); /* "target 'disk'" or "target 5" */
/* The directory of this host that holds the objects, or NULL: a backup leaves its own targets out. */
const char *storage_directory(const Storage *s);
/* The most that one object of this storage can have, or is wanted to have, where that is known: a multiple
 * of STORAGE_OBJECT_UNIT; else UINT64_MAX. What may be larger is cut into volumes: storage/volumes.h. */
uint64_t storage_object_max(const Storage *s);
/* Whether puts can be sealed. */
bool storage_can_seal(const Storage *s);
/* CLOCK_MONOTONIC of the last byte that moved, 0 before the first. May be asked while another thread is in a
 * call. */
usec_t storage_last_progress(const Storage *s);

/* Starts an object. -EEXIST here or at the commit. Freeing a put that was not committed leaves nothing. */
int storage_put_new(Storage *s, const char *key, StoragePut **ret, Failure *reterr_failure) _warn_unused_;
/* Before anything is written: it will be removed soon, as a lock or a trial is. What a target asks for
 * objects that stay (to retain them, to keep them in a tier that is paid for months) is not asked for it. */
void storage_put_set_transient(StoragePut *p);
int storage_put_write(StoragePut *p, const void *data, size_t n, Failure *reterr_failure) _warn_unused_;
/* All is written, at least one byte: sends what waits in memory and lets go of it. The put holds neither
 * much memory nor a connection then, and its commit may come much later. */
int storage_put_seal(StoragePut *p, Failure *reterr_failure) _warn_unused_;
/* The digest is of all that was written. After success the object is there. */
int storage_put_commit(StoragePut *p, const uint8_t sha256[static 32],
                       Failure *reterr_failure) _warn_unused_;
StoragePut *storage_put_free(StoragePut *p);

/* Reads n bytes at offset, fewer only at the end of the object; gives the count. */
ssize_t storage_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                        Failure *reterr_failure) _warn_unused_;
int storage_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) _warn_unused_;
/* Every committed object under prefix, sorted by the bytes of the key. */
int storage_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                 Failure *reterr_failure) _warn_unused_;
/* After a cancel it may still be tried, once and shortly: a run takes its lock back at its end. */
/* Gives 1 where it is hidden: neither listed nor read any more, but kept by the storage as an older version,
 * which takes space until the storage's own rules end it. */
int storage_remove(Storage *s, const char *key, Failure *reterr_failure) _warn_unused_;
/* Writes, reads back and removes a small object where that is allowed, so that a target that cannot be
 * written fails here and not at night. */
int storage_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) _warn_unused_;

bool storage_key_is_valid(const char *key);

DEFINE_CLEANUP(Storage *, storage_free);
DEFINE_CLEANUP(StoragePut *, storage_put_free);
