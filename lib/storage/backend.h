#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a type of storage implements. For the files of this folder. */

#include "storage/pace.h"
#include "storage/storage.h"
#include "wire/json.h"

typedef struct StorageType {
        const char *name;
        /* Reads config and secrets into s->backend. */
        int (*open)(Storage *s, const StorageConfig *config, Failure *reterr_failure);
        void (*close)(Storage *s);
        const char *(*directory)(const Storage *s); /* may be NULL */
        /* The key was checked. Fills p->backend. */
        int (*put_new)(StoragePut *p, Failure *reterr_failure);
        int (*put_write)(StoragePut *p, const void *data, size_t n, Failure *reterr_failure);
        /* May be NULL: a put that waits for its commit cannot do without its connection. */
        int (*put_seal)(StoragePut *p, Failure *reterr_failure);
        int (*put_commit)(StoragePut *p, const uint8_t sha256[static 32], Failure *reterr_failure);
        /* Also where put_new failed half-way; undoes what was not committed. */
        void (*put_free)(StoragePut *p);
        ssize_t (*read_at)(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                           Failure *reterr_failure);
        int (*stat)(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure);
        int (*list)(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                    Failure *reterr_failure);
        int (*remove)(Storage *s, const char *key, Failure *reterr_failure);
        int (*probe)(Storage *s, StorageUsage *ret, Failure *reterr_failure);
} StorageType;

struct Storage {
        const StorageType *type;
        uint64_t id;
        char *name;
        const atomic_bool *cancel;
        usec_t stall, retry;
        uint64_t object_max; /* 0: no limit is known */
        Pace *pace;
        atomic_uint_fast64_t last_progress;
        void *backend;
};

struct StoragePut {
        Storage *storage;
        char *key;
        uint64_t size; /* written so far */
        bool sealed, committed;
        bool transient;
        void *backend;
};

/* For the probe of a type. A random name for an object that goes again; allocates. */
int storage_probe_key(char **ret) _warn_unused_;
/* Writes an object under such a name, reads it back and removes it. */
int storage_probe_object(Storage *s, const void *data, size_t size, Failure *reterr_failure) _warn_unused_;

extern const StorageType storage_type_azure;
extern const StorageType storage_type_local;
extern const StorageType storage_type_patient; /* around another one */
extern const StorageType storage_type_rclone;
extern const StorageType storage_type_relay;
extern const StorageType storage_type_ftp;
extern const StorageType storage_type_sftp;
extern const StorageType storage_type_s3;
extern const StorageType storage_type_webdav;

/* Bytes moved just now. */
void storage_moved(Storage *s);
bool storage_is_cancelled(const Storage *s);
