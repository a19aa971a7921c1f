/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/random.h"
#include "repository/key.h"
#include "repository/repository-internal.h"

/* Key files that are tried, as restic does. */
#define KEYS_MAX 20
#define LISTED_STEP (100 * USEC_PER_MSEC)

Repository *repository_free(Repository *r) {
        if (!r)
                return NULL;
        free(r->prefix);
        repo_cache_free(r->cache);
        cipher_free(r->cipher);
        compressor_free(r->compressor);
        (void) pthread_mutex_destroy(&r->lock);
        explicit_bzero(&r->key, sizeof(r->key));
        return mfree(r);
}

/* --- Keys -------------------------------------------------------------------------------------------- */

typedef struct KeySearch {
        const RepositoryArgs *args;
        CipherKey *ret;
        unsigned tried, unusable;
        Failure *failure; /* of the first that is unusable */
} KeySearch;

/* Positive: found. A key file that cannot be used is passed over: anybody who can write to the storage can
 * put one there. */
static int try_key(void *userdata, const Id *id, uint64_t size) {
        _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL;
        KeySearch *search = ASSERT_PTR(userdata);
        _cleanup_(freep) uint8_t *data = NULL;
        _cleanup_(freep) char *key = NULL;
        size_t n;
        Id is;
        int r;

        if (search->tried++ == KEYS_MAX)
                return -EKEYREJECTED;
        r = repository_path_at(search->args->prefix, REPO_FILE_KEY, id, &key);
        if (r < 0)
                return r;
        r = repository_read_object(search->args->storage, key, size, REPO_KEY_FILE_MAX, &data, &n,
                                   search->failure);
        if (r < 0)
                return r == -EFBIG ? 0 : r;
        r = id_of(data, n, &is);
        if (r >= 0 && !id_equal(&is, id))
                r = -EBADMSG;
        if (r >= 0)
                r = repo_key_file_parse(data, n, &k, search->failure);
        if (r >= 0)
                r = repo_key_open(&k, search->args->password, search->ret);
        if (r == -EBADMSG)
                search->unusable++;
        if (r == -EBADMSG || r == -EKEYREJECTED)
                return 0;
        return r < 0 ? r : 1;
}

static int find_key(const RepositoryArgs *args, CipherKey *ret, Failure *f) {
        _cleanup_failure_ Failure unusable = FAILURE_NULL;
        KeySearch search = { .args = args, .ret = ret, .failure = &unusable };
        int r;

        assert(args);

        r = repository_list_at(args->storage, args->prefix, REPO_FILE_KEY, try_key, &search, f);
        if (r > 0)
                return 0;
        if (r < 0 && r != -EKEYREJECTED)
                return failure_set(f, r, "REPOSITORY_KEY_INVALID",
                                   "The keys of the repository on %s cannot be read: %s",
                                   storage_name(args->storage), failure_message(&unusable, r));
        return failure_set(f, -EKEYREJECTED, "REPOSITORY_PASSWORD",
                           "None of the %u keys of the repository on %s takes the password%s%s",
                           search.tried,
                           storage_name(args->storage), search.unusable > 0 ? "; " : "",
                           search.unusable > 0 ? failure_message(&unusable, -EBADMSG) : "");
}

static int write_key(const RepositoryArgs *args, const RepositoryNew *n, const CipherKey *key, Failure *f) {
        _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL;
        _cleanup_(freep) char *json = NULL, *path = NULL;
        ScryptCost cost = REPO_KEY_COST;
        size_t size;
        Id id;
        int r;

        r = repo_key_seal(key, args->password, &cost, &k);
        if (r < 0)
                return r;
        k.created = moment_now();
        r = free_and_strdup(&k.hostname, n->hostname);
        if (r >= 0)
                r = free_and_strdup(&k.username, n->username);
        if (r >= 0)
                r = repo_key_file_format(&k, &json, &size);
        if (r >= 0)
                r = id_of(json, size, &id);
        if (r >= 0)
                r = repository_path_at(args->prefix, REPO_FILE_KEY, &id, &path);
        return r < 0 ? r : repository_write_object(args->storage, path, json, size, &id, f);
}

/* --- Making one -------------------------------------------------------------------------------------- */

static int write_config(const RepositoryArgs *args, const RepositoryNew *n, const CipherKey *key,
                        Failure *f) {
        RepoConfig config = { .version = REPO_VERSION_MAX, .chunker = n->chunker };
        _cleanup_(cipher_freep) Cipher *cipher = NULL;
        _cleanup_(freep) char *json = NULL, *path = NULL;
        _cleanup_(freep) uint8_t *sealed = NULL;
        size_t size, sealed_size;
        Id digest;
        int r;

        config.chunker_polynomial = n->chunker_polynomial;
        r = random_bytes(&config.id, sizeof(config.id));
        if (r >= 0)
                r = repo_config_format(&config, &json, &size);
        if (r >= 0)
                r = cipher_new(key, &cipher);
        if (r >= 0)
                r = repo_file_seal(cipher, /* compressor= */ NULL, json, size, &sealed, &sealed_size);
        if (r >= 0)
                r = id_of(sealed, sealed_size, &digest);
        if (r >= 0)
                r = repository_path_at(args->prefix, REPO_FILE_CONFIG, NULL, &path);
        return r < 0 ? r : repository_write_object(args->storage, path, sealed, sealed_size, &digest, f);
}

/* A key that is there. */
static int found(void *userdata, const Id *id, uint64_t size) {
        return 1;
}

/* Some storages list late what was stored. Without a listed key nobody can open it, us included. */
static int wait_for_key(const RepositoryArgs *args, Failure *f) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), REPO_LISTED_MAX);

        for (;;) {
                int r = repository_list_at(args->storage, args->prefix, REPO_FILE_KEY, found, NULL, f);

                if (r != 0)
                        return MIN(r, 0);
                if (now_usec(CLOCK_MONOTONIC) >= end)
                        return failure_set(f, -ESTALE, "STORAGE_LISTS_LATE",
                                           "%s does not list what was stored there a minute ago: a "
                                           "repository cannot be used there",
                                           storage_name(args->storage));
                (void) usleep((useconds_t) LISTED_STEP);
        }
}

int repository_init(const RepositoryArgs *args, const RepositoryNew *n, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        CipherKey key = {};
        CLEANUP_ERASE(key);
        uint64_t size;
        int r;

        assert(args && args->storage && args->password);
        assert(n);

        r = repository_path_at(args->prefix, REPO_FILE_CONFIG, NULL, &path);
        if (r < 0)
                return r;
        r = storage_stat(args->storage, path, &size, NULL);
        if (r == -ENOENT && n->derived)
                r = 0;
        else if (r == -ENOENT)
                r = repository_list_at(args->storage, args->prefix, REPO_FILE_KEY, found, NULL,
                                       reterr_failure);
        else if (r >= 0)
                r = 1;
        if (r > 0)
                return failure_set(reterr_failure, -EEXIST, "REPOSITORY_EXISTS",
                                   "There is a repository on %s already, under '%s'",
                                   storage_name(args->storage), strempty(args->prefix));
        if (r < 0)
                return failure_set(reterr_failure, r, "STORAGE", "%s cannot be looked at: %s",
                                   storage_name(args->storage), strerror(-r));
        r = n->derived ? repo_key_derive(args->password, &key) : repo_key_generate(&key);
        if (r >= 0)
                r = write_key(args, n, &key, reterr_failure);
        if (r >= 0)
                r = write_config(args, n, &key, reterr_failure);
        return r < 0 ? r : wait_for_key(args, reterr_failure);
}

/* --- Opening ----------------------------------------------------------------------------------------- */

/* The stored bytes are those of the config. With this key: -EBADMSG where it is not the one, or they are
 * damaged. */
static int open_with_key(Repository *r, const uint8_t *stored, size_t n, Failure *f) {
        _cleanup_(repo_file_done) RepoFile file = REPO_FILE_NULL;
        _cleanup_(freep) char *json = NULL;
        char label[REPO_FILE_LABEL_MAX];
        uint8_t *copy; /* it is decrypted in place */
        size_t size;
        int k;

        r->cipher = cipher_free(r->cipher);
        k = cipher_new(&r->key, &r->cipher);
        if (k < 0)
                return k;
        copy = memdup0(stored, n);
        if (!copy)
                return -ENOMEM;
        k = repo_file_open(r->cipher, NULL, copy, n, &file);
        if (k == -EBADMSG)
                return failure_set(f, k, "REPOSITORY_DAMAGED",
                                   "The %s of the repository on %s is damaged: it is not what was stored",
                                   repository_label(REPO_FILE_CONFIG, NULL, label),
                                   storage_name(r->storage));
        if (k >= 0)
                k = repo_file_read_all(&file, REPO_CONFIG_SIZE_MAX, &json, &size);
        return k < 0 ? k : repo_config_parse(json, size, &r->config, f);
}

/* Ours have a master key that is made of the password: who has that needs no key file, whose scrypt is the
 * better part of a short run, nor the listing of them. The config says whether it is so. It is read once: a
 * bit that was flipped on the way is told of, whichever key it is. */
static int open_config(Repository *r, const RepositoryArgs *args, uint64_t size, Failure *f) {
        _cleanup_failure_ Failure derived = FAILURE_NULL;
        _cleanup_(freep) uint8_t *stored = NULL;
        _cleanup_(freep) char *path = NULL;
        size_t n;
        int k;

        k = repository_path(r, REPO_FILE_CONFIG, NULL, &path);
        if (k >= 0)
                k = repository_read_object(args->storage, path, size, REPO_FILE_SIZE_MAX, &stored, &n, f);
        if (k >= 0)
                k = repo_key_derive(args->password, &r->key);
        if (k < 0)
                return k;
        k = open_with_key(r, stored, n, &derived);
        if (k == -EBADMSG) {
                k = find_key(args, &r->key, f);
                return k < 0 ? k : open_with_key(r, stored, n, f);
        }
        if (k < 0 && failure_is_set(&derived))
                return failure_set(f, k, derived.code, "%s", failure_message(&derived, k));
        return k;
}

static int check_there(const RepositoryArgs *args, uint64_t *ret_size, Failure *f) {
        _cleanup_(freep) char *path = NULL;
        int r;

        r = repository_path_at(args->prefix, REPO_FILE_CONFIG, NULL, &path);
        if (r < 0)
                return r;
        r = storage_stat(args->storage, path, ret_size, NULL);
        if (r == -ENOENT)
                return failure_set(f, r, "REPOSITORY_MISSING",
                                   "There is no repository on %s under '%s': it has no file 'config'",
                                   storage_name(args->storage), strempty(args->prefix));
        return r < 0 ? storage_stat(args->storage, path, ret_size, f) : 0;
}

int repository_open(const RepositoryArgs *args, Repository **ret, Failure *reterr_failure) {
        _cleanup_(repository_freep) Repository *r = NULL;
        uint64_t size = 0;
        int k;

        assert(args && args->storage && args->password);
        assert(ret);

        k = check_there(args, &size, reterr_failure);
        if (k < 0)
                return k;
        r = new0(Repository, 1);
        if (!r)
                return -ENOMEM;
        (void) pthread_mutex_init(&r->lock, NULL);
        r->storage = args->storage;
        k = free_and_strdup(&r->prefix, strempty(args->prefix));
        if (k >= 0)
                k = open_config(r, args, size, reterr_failure);
        if (k >= 0 && r->config.version > 1)
                k = compressor_new(REPO_FILE_LEVEL, &r->compressor);
        if (k >= 0 && args->cache)
                k = repo_cache_new(args->cache, &r->config.id, &r->cache);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}
