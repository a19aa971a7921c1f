/* SPDX-License-Identifier: Apache-2.0 */

/* What all types of storage have in common: keys are checked before any of them sees one, the size of an
 * object is counted here, a commit is made once, and everything that moves bytes notes the time, so that a
 * watcher sees a target that stands still. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/backend.h"
#include "wire/rclone-options.h"

static const StorageType *const types[] = {
        &storage_type_local,
        &storage_type_azure,
        &storage_type_ftp,
        &storage_type_relay,
        &storage_type_s3,
        &storage_type_sftp,
        &storage_type_webdav,
};

static const char *const type_names[] = { "azure", "ftp", "local", "relay", "s3", "sftp", "webdav", NULL };

const char *const *storage_types(void) {
        return type_names;
}

bool storage_key_is_valid(const char *key) {
        assert(key);

        if (strlen(key) > STORAGE_KEY_MAX)
                return false;
        for (const char *p = key;; p++) {
                size_t n = strcspn(p, "/");

                if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.') || n > 255)
                        return false;
                p += n;
                if (*p == 0)
                        return true;
        }
}

static bool prefix_is_valid(const char *prefix) {
        _cleanup_(freep) char *key = NULL;
        size_t n = strlen(prefix);

        if (n == 0)
                return true;
        if (prefix[n - 1] != '/')
                return false;
        key = memdup0(prefix, n - 1);
        return key && storage_key_is_valid(key);
}

static int key_check(const Storage *s, const char *key, Failure *reterr_failure) {
        if (storage_key_is_valid(key))
                return 0;
        return failure_set(reterr_failure, -EINVAL, "STORAGE_KEY_INVALID",
                           "'%s' cannot be the name of an object in %s.", key, s->name);
}

static const StorageType *type_find(const char *name) {
        if (rclone_type_backend(name))
                return &storage_type_rclone;
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq_ptr(types[i]->name, name))
                        return types[i];
        return NULL;
}

int storage_open(const StorageConfig *config, Storage **ret, Failure *reterr_failure) {
        _cleanup_(storage_freep) Storage *s = NULL;
        int r;

        assert(config);
        assert(ret);

        s = new0(Storage, 1);
        if (!s)
                return -ENOMEM;
        s->id = config->id;
        s->cancel = config->cancel;
        s->pace = config->pace;
        s->stall = config->stall > 0 ? config->stall : STORAGE_STALL_DEFAULT;
        s->retry = config->retry > 0 ? config->retry : STORAGE_RETRY_DEFAULT;
        r = isempty(config->name) ? asprintf_safe(&s->name, "target %" PRIu64, config->id) :
                                    asprintf_safe(&s->name, "target '%s'", config->name);
        if (r < 0)
                return r;
        s->type = type_find(config->type);
        if (!s->type)
                return failure_set(reterr_failure, -EINVAL, "STORAGE_TYPE_UNKNOWN",
                                   "This version of BackupX has no storage of type '%s' (%s).",
                                   strempty(config->type), s->name);
        if (config->patience > 0 && s->type == &storage_type_local)
                s->type = &storage_type_patient;
        r = s->type->open(s, config, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

Storage *storage_free(Storage *s) {
        if (!s)
                return NULL;
        if (s->type)
                s->type->close(s);
        free(s->name);
        return mfree(s);
}

uint64_t storage_id(const Storage *s) {
        assert(s);

        return s->id;
}

const char *storage_name(const Storage *s) {
        assert(s);

        return s->name;
}

const char *storage_directory(const Storage *s) {
        assert(s);

        return s->type->directory ? s->type->directory(s) : NULL;
}

uint64_t storage_object_max(const Storage *s) {
        assert(s);

        return s->object_max > 0 ? s->object_max : UINT64_MAX;
}

bool storage_can_seal(const Storage *s) {
        assert(s);

        return s->type->put_seal;
}

usec_t storage_last_progress(const Storage *s) {
        assert(s);

        return atomic_load_explicit(&s->last_progress, memory_order_relaxed);
}

void storage_moved(Storage *s) {
        atomic_store_explicit(&s->last_progress, now_usec(CLOCK_MONOTONIC), memory_order_relaxed);
}

bool storage_is_cancelled(const Storage *s) {
        return s->cancel && atomic_load_explicit(s->cancel, memory_order_relaxed);
}

int storage_put_new(Storage *s, const char *key, StoragePut **ret, Failure *reterr_failure) {
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        int r;

        assert(s);
        assert(key);
        assert(ret);

        r = key_check(s, key, reterr_failure);
        if (r < 0)
                return r;
        p = new0(StoragePut, 1);
        if (!p)
                return -ENOMEM;
        p->storage = s;
        p->key = memdup0(key, strlen(key));
        if (!p->key)
                return -ENOMEM;
        r = s->type->put_new(p, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

void storage_put_set_transient(StoragePut *p) {
        assert(p);
        assert(p->size == 0);
        assert(!p->committed);

        p->transient = true;
}

int storage_put_write(StoragePut *p, const void *data, size_t n, Failure *reterr_failure) {
        int r;

        assert(p);
        assert(data || n == 0);
        assert(!p->sealed && !p->committed);

        r = p->storage->type->put_write(p, data, n, reterr_failure);
        if (r < 0)
                return r;
        p->size += n;
        return 0;
}

int storage_put_seal(StoragePut *p, Failure *reterr_failure) {
        int r;

        assert(p && p->size > 0);
        assert(!p->sealed && !p->committed);
        assert(storage_can_seal(p->storage));

        r = p->storage->type->put_seal(p, reterr_failure);
        if (r < 0)
                return r;
        p->sealed = true;
        return 0;
}

int storage_put_commit(StoragePut *p, const uint8_t sha256[static 32], Failure *reterr_failure) {
        int r;

        assert(p);
        assert(sha256);
        assert(!p->committed);

        r = p->storage->type->put_commit(p, sha256, reterr_failure);
        if (r < 0)
                return r;
        p->committed = true;
        return 0;
}

StoragePut *storage_put_free(StoragePut *p) {
        if (!p)
                return NULL;
        if (p->backend)
                p->storage->type->put_free(p);
        free(p->key);
        return mfree(p);
}

ssize_t storage_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                        Failure *reterr_failure) {
        int r;

        assert(s);
        assert(key);
        assert(buf || n == 0);

        r = key_check(s, key, reterr_failure);
        if (r < 0)
                return r;
        if (offset > (uint64_t) INT64_MAX - n)
                return -EINVAL;
        return n == 0 ? 0 : s->type->read_at(s, key, offset, buf, n, reterr_failure);
}

int storage_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        int r;

        assert(s);
        assert(key);
        assert(ret_size);

        r = key_check(s, key, reterr_failure);
        return r < 0 ? r : s->type->stat(s, key, ret_size, reterr_failure);
}

int storage_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                 Failure *reterr_failure) {
        assert(s);
        assert(prefix);
        assert(func);

        if (!prefix_is_valid(prefix))
                return failure_set(reterr_failure, -EINVAL, "STORAGE_KEY_INVALID",
                                   "'%s' is not a prefix of objects.", prefix);
        return s->type->list(s, prefix, func, userdata, reterr_failure);
}

int storage_remove(Storage *s, const char *key, Failure *reterr_failure) {
        int r;

        assert(s);
        assert(key);

        r = key_check(s, key, reterr_failure);
        return r < 0 ? r : s->type->remove(s, key, reterr_failure);
}

int storage_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        assert(s);
        assert(ret);

        return s->type->probe(s, ret, reterr_failure);
}
