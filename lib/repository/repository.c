/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/repository-internal.h"

#define READ_THREADS 2
#define READ_THREADS_REMOTE 4

static const char *const repo_file_type_table[] = {
        [REPO_FILE_CONFIG] = "config",
        [REPO_FILE_KEY] = "key",
        [REPO_FILE_PACK] = "pack",
        [REPO_FILE_INDEX] = "index",
        [REPO_FILE_SNAPSHOT] = "snapshot",
        [REPO_FILE_LOCK] = "lock",
};
DEFINE_STRING_TABLE(repo_file_type, RepoFileType);

/* Where they lie. */
static const char *const folders[] = {
        [REPO_FILE_CONFIG] = "config",
        [REPO_FILE_KEY] = "keys/",
        [REPO_FILE_PACK] = "data/",
        [REPO_FILE_INDEX] = "index/",
        [REPO_FILE_SNAPSHOT] = "snapshots/",
        [REPO_FILE_LOCK] = "locks/",
};

/* Those are kept on this machine. */
static const char *cache_kind(RepoFileType type) {
        return type == REPO_FILE_INDEX ? "index" : type == REPO_FILE_SNAPSHOT ? "snapshots" :
                                                                                NULL;
}

char *repository_label(RepoFileType type, const Id *id, char buf[static REPO_FILE_LABEL_MAX]) {
        char hex[ID_HEX_SIZE];

        (void) snprintf(buf, REPO_FILE_LABEL_MAX, "%s%s%.16s", repo_file_type_to_string(type), id ? " " : "",
                        id ? id_to_hex(id, hex) : "");
        return buf;
}

const RepoConfig *repository_config(const Repository *r) {
        assert(r);

        return &r->config;
}

const CipherKey *repository_key(const Repository *r) {
        assert(r);

        return &r->key;
}

Storage *repository_storage(const Repository *r) {
        assert(r);

        return r->storage;
}

const char *repository_prefix(const Repository *r) {
        assert(r);

        return r->prefix;
}

unsigned repository_read_threads(const Repository *r, unsigned wanted) {
        assert(r);

        if (wanted > 0)
                return wanted;
        return storage_directory(r->storage) ? READ_THREADS : READ_THREADS_REMOTE;
}

/* --- Objects ----------------------------------------------------------------------------------------- */

int repository_path_at(const char *prefix, RepoFileType type, const Id *id, char **ret) {
        char hex[ID_HEX_SIZE] = "";

        assert(type >= 0 && type < _REPO_FILE_TYPE_MAX);
        assert((type == REPO_FILE_CONFIG) == !id);

        if (id)
                (void) id_to_hex(id, hex);
        return asprintf_safe(ret, "%s%s%.*s%s%s", strempty(prefix), folders[type],
                             type == REPO_FILE_PACK ? 2 : 0, hex, type == REPO_FILE_PACK ? "/" : "", hex);
}

int repository_path(const Repository *r, RepoFileType type, const Id *id, char **ret) {
        assert(r);

        return repository_path_at(r->prefix, type, id, ret);
}

int repository_read_object(Storage *s, const char *key, uint64_t size, uint64_t max, uint8_t **ret,
                           size_t *ret_n, Failure *reterr_failure) {
        _cleanup_(freep) uint8_t *data = NULL;
        ssize_t n;
        int r;

        assert(s);
        assert(ret);
        assert(ret_n);

        if (size == UINT64_MAX) {
                r = storage_stat(s, key, &size, reterr_failure);
                if (r < 0)
                        return r;
        }
        if (size > max)
                return failure_set(reterr_failure, -EFBIG, "REPOSITORY_DAMAGED",
                                   "The object %s has %" PRIu64 " bytes: no repository has such a file", key,
                                   size);
        data = malloc(size + 1);
        if (!data)
                return -ENOMEM;
        n = storage_read_at(s, key, 0, data, size, reterr_failure);
        if (n < 0)
                return (int) n;
        data[n] = 0;
        *ret = TAKE_PTR(data);
        *ret_n = (size_t) n;
        return 0;
}

static int write_object(Storage *s, const char *key, bool transient, const void *p, size_t n,
                        const Id *digest, Failure *f) {
        _cleanup_(storage_put_freep) StoragePut *put = NULL;
        int r;

        r = storage_put_new(s, key, &put, f);
        if (r < 0)
                return r;
        if (transient)
                storage_put_set_transient(put);
        r = storage_put_write(put, p, n, f);
        return r < 0 ? r : storage_put_commit(put, digest->bytes, f);
}

int repository_write_object(Storage *s, const char *key, const void *p, size_t n, const Id *digest,
                            Failure *reterr_failure) {
        assert(s);
        assert(digest);

        return write_object(s, key, /* transient= */ false, p, n, digest, reterr_failure);
}

/* --- Files ------------------------------------------------------------------------------------------- */

int repository_put(Repository *r, RepoFileType type, const void *json, size_t n, Id *ret,
                   Failure *reterr_failure) {
        _cleanup_(freep) uint8_t *sealed = NULL;
        _cleanup_(freep) char *key = NULL;
        size_t size;
        Id id;
        int k;

        assert(r);
        assert(type == REPO_FILE_INDEX || type == REPO_FILE_SNAPSHOT || type == REPO_FILE_LOCK);
        assert(json);
        assert(ret);

        (void) pthread_mutex_lock(&r->lock);
        k = repo_file_seal(r->cipher, r->compressor, json, n, &sealed, &size);
        (void) pthread_mutex_unlock(&r->lock);
        if (k >= 0)
                k = id_of(sealed, size, &id);
        if (k >= 0)
                k = repository_path(r, type, &id, &key);
        if (k >= 0)
                k = write_object(r->storage, key, type == REPO_FILE_LOCK, sealed, size, &id, reterr_failure);
        if (k < 0)
                return k;
        if (r->cache && cache_kind(type))
                repo_cache_put(r->cache, cache_kind(type), &id, sealed, size);
        *ret = id;
        return 0;
}

/* The stored bytes, from this machine where it has them. */
static int read_stored(Repository *r, RepoFileType type, const Id *id, uint64_t size, uint8_t **ret,
                       size_t *ret_n, Failure *f) {
        const char *kind = cache_kind(type);
        _cleanup_(freep) char *key = NULL;
        int k;

        if (r->cache && kind) {
                k = repo_cache_get(r->cache, kind, id, ret, ret_n);
                if (k != -ENOENT)
                        return k;
        }
        k = repository_path(r, type, id, &key);
        if (k < 0)
                return k;
        k = repository_read_object(r->storage, key, size, REPO_FILE_SIZE_MAX, ret, ret_n, f);
        if (k >= 0 && r->cache && kind) {
                Id is;

                if (id_of(*ret, *ret_n, &is) >= 0 && id_equal(&is, id))
                        repo_cache_put(r->cache, kind, id, *ret, *ret_n);
        }
        return k;
}

int repository_get(Repository *r, RepoFileType type, const Id *id, uint64_t size, RepoFile *ret,
                   Failure *reterr_failure) {
        char label[REPO_FILE_LABEL_MAX];
        uint8_t *stored = NULL;
        size_t n = 0;
        int k;

        assert(r);
        assert(type != REPO_FILE_PACK && type != REPO_FILE_KEY);
        assert(ret);

        k = read_stored(r, type, id, size, &stored, &n, reterr_failure);
        if (k < 0)
                return k;
        (void) pthread_mutex_lock(&r->lock);
        k = repo_file_open(r->cipher, id, stored, n, ret);
        (void) pthread_mutex_unlock(&r->lock);
        if (k == -EBADMSG)
                return failure_set(reterr_failure, k, "REPOSITORY_DAMAGED",
                                   "The %s of the repository on %s is damaged: it is not what was stored",
                                   repository_label(type, id, label), storage_name(r->storage));
        return k;
}

int repository_remove(Repository *r, RepoFileType type, const Id *id, Failure *reterr_failure) {
        _cleanup_(freep) char *key = NULL;
        int k;

        assert(r);

        k = repository_path(r, type, id, &key);
        if (k < 0)
                return k;
        k = storage_remove(r->storage, key, reterr_failure);
        if (k >= 0 && r->cache && cache_kind(type))
                repo_cache_remove(r->cache, cache_kind(type), id);
        return k;
}

typedef struct Listing {
        RepositoryListFunc func;
        void *userdata;
} Listing;

static int list_object(void *userdata, const char *key, uint64_t size) {
        const Listing *l = ASSERT_PTR(userdata);
        const char *slash = strrchr(key, '/');
        const char *name = slash ? slash + 1 : key;
        Id id;

        if (id_from_hex(name, strlen(name), &id) < 0)
                return 0;
        return l->func(l->userdata, &id, size);
}

int repository_list_at(Storage *s, const char *prefix, RepoFileType type, RepositoryListFunc func,
                       void *userdata, Failure *reterr_failure) {
        Listing l = { func, userdata };
        _cleanup_(freep) char *folder = NULL;
        int r;

        assert(func);
        assert(type != REPO_FILE_CONFIG);

        r = asprintf_safe(&folder, "%s%s", strempty(prefix), folders[type]);
        return r < 0 ? r : storage_list(s, folder, list_object, &l, reterr_failure);
}

int repository_list(Repository *r, RepoFileType type, RepositoryListFunc func, void *userdata,
                    Failure *reterr_failure) {
        assert(r);

        return repository_list_at(r->storage, r->prefix, type, func, userdata, reterr_failure);
}
