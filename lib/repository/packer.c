/* SPDX-License-Identifier: Apache-2.0 */

/* A pack is made by the first blob that finds none open, closed by the blob that makes it full, and goes
 * into the queue when the last of its blobs is filled in. Its header and its name are made by the upload.
 *
 * Who waits for room has no room that is unfilled, so every pack that is closed comes to its upload. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/index-file.h"
#include "repository/packer.h"

#define WRITE_SIZE ((size_t) 1 << 20)
/* Who fills a pack hashes so much of it at a time, while it is still in the processor's cache. */
#define HASH_SIZE ((size_t) 256 << 10)

/* A pack that is stored and in no index file yet. */
typedef struct Stored {
        struct Stored *next;
        Id id;
        PackBlob *blobs;
        size_t n_blobs;
} Stored;

struct Packer {
        PackerArgs args;
        char *prefix;
        PackPool *pool; /* whose lock is ours */
        bool own_pool;
        Packer *next;        /* of those that share it */
        pthread_cond_t work; /* for the uploads, and done by them */
        Pack *open[_BLOB_TYPE_MAX];
        Pack *first, **last; /* to be uploaded */
        unsigned n_uploading;
        bool ended;
        int error;
        Failure failure;

        Stored *stored;
        size_t n_stored_blobs;
        usec_t indexed; /* CLOCK_MONOTONIC */
        bool indexing;
        atomic_uint_fast64_t bytes;

        pthread_t threads[PACKER_UPLOADS_MAX];
        unsigned n_threads;
};

static Stored *stored_free(Stored *s) {
        while (s) {
                Stored *next = s->next;

                free(s->blobs);
                free(s);
                s = next;
        }
        return NULL;
}

DEFINE_CLEANUP(Stored *, stored_free);

static void lock(Packer *p) {
        (void) pthread_mutex_lock(&p->pool->lock);
}

static void unlock(Packer *p) {
        (void) pthread_mutex_unlock(&p->pool->lock);
}

/* With the lock: a pack that was closed is gone. */
static void pack_drop(Packer *p, Pack *k) {
        p->pool->n_closed--;
        if (p->error < 0) /* its digest may be half made */
                k->again = false;
        pack_pool_put(p->pool, k);
}

/* With the lock: it is for the uploads as soon as nobody fills it any more, and gone after an error. */
static void enqueue_whole(Packer *p, Pack *k) {
        if (!k->closed || k->unfilled > 0)
                return;
        if (p->error < 0) {
                pack_drop(p, k);
                return;
        }
        *p->last = k;
        p->last = &k->next;
        (void) pthread_cond_broadcast(&p->work);
}

static void close_pack(Packer *p, BlobType type) {
        Pack *k = TAKE_PTR(p->open[type]);

        if (!k)
                return;
        k->closed = true;
        p->pool->n_closed++;
        enqueue_whole(p, k);
}

/* The first error stays. Takes the text of f over. What waits is for nobody, and its memory for others. */
static void fail_locked(Packer *p, int error, Failure *f) {
        if (p->error == 0) {
                p->error = error;
                if (f) {
                        p->failure = *f;
                        *f = FAILURE_NULL;
                }
        }
        for (BlobType t = 0; t < _BLOB_TYPE_MAX; t++)
                close_pack(p, t);
        while (p->first) {
                Pack *k = p->first;

                p->first = k->next;
                pack_drop(p, k);
        }
        p->last = &p->first;
        (void) pthread_cond_broadcast(&p->work);
        (void) pthread_cond_broadcast(&p->pool->changed);
}

static int fail(Packer *p, int error, Failure *f) {
        lock(p);
        fail_locked(p, error, f);
        unlock(p);
        return error;
}

void packer_stop(Packer *p, int error) {
        assert(p);
        assert(error < 0);

        (void) fail(p, error, NULL);
}

int packer_error(Packer *p, Failure *reterr_failure) {
        int error;

        assert(p);

        lock(p);
        error = p->error;
        if (error < 0 && failure_is_set(&p->failure))
                (void) failure_set(reterr_failure, error, p->failure.code, "%s",
                                   failure_message(&p->failure, error));
        unlock(p);
        return error;
}

uint64_t packer_stored(const Packer *p) {
        assert(p);

        return p->bytes;
}

/* --- Filling ------------------------------------------------------------------------------------------ */

/* With the lock: starts the upload of the largest pack that fills, of whichever repository. */
static bool close_largest(PackPool *pool) {
        Packer *where = NULL;
        BlobType type = BLOB_DATA;

        for (Packer *p = pool->packers; p; p = p->next)
                for (BlobType t = 0; t < _BLOB_TYPE_MAX; t++)
                        if (p->open[t] && (!where || p->open[t]->used > where->open[type]->used)) {
                                where = p;
                                type = t;
                        }
        if (where)
                close_pack(where, type);
        return where;
}

/* With the lock: an open pack of the type that this blob fits into. */
static int pack_find(Packer *p, const PackBlob *b, Pack **ret) {
        PackPool *pool = p->pool;

        while (p->error == 0) {
                Pack *k = p->open[b->type];

                /* One of unusual size gets a pack of its own. */
                if (k && k->n_blobs > 0 && b->length > PACK_ROOM)
                        close_pack(p, b->type);
                else if (!pack_pool_has_room(pool, k, b)) {
                        if (pool->n_closed > 0 || !close_largest(pool))
                                (void) pthread_cond_wait(&pool->changed, &pool->lock);
                } else {
                        int r = k ? 0 : pack_pool_get(pool, b, &p->open[b->type]);

                        if (r >= 0)
                                *ret = p->open[b->type];
                        return r;
                }
        }
        return p->error;
}

/* The same, while nobody waits for all of the pool. */
static int pack_find_in_turn(Packer *p, const PackBlob *b, Pack **ret) {
        PackPool *pool = p->pool;
        int r;

        while (p->error == 0 && pool->alone)
                (void) pthread_cond_wait(&pool->changed, &pool->lock);
        if (p->error < 0)
                return p->error;
        if (b->length <= PACK_ROOM)
                return pack_find(p, b, ret);
        pool->alone = true;
        r = pack_find(p, b, ret);
        pool->alone = false;
        (void) pthread_cond_broadcast(&pool->changed);
        return r;
}

static int reserve(Packer *p, const PackBlob *b, PackSlot *ret) {
        Pack *k = NULL;
        int r;

        r = pack_find_in_turn(p, b, &k);
        if (r < 0)
                return r;
        ret->pack = k;
        ret->number = k->n_blobs;
        ret->data = k->data + k->used;
        r = pack_pool_add(p->pool, k, b);
        if (r < 0)
                return r;
        if (k->used >= pack_pool_full(p->pool, b->type) || k->n_blobs >= PACK_BLOBS_MAX)
                close_pack(p, b->type);
        return 0;
}

int packer_reserve(Packer *p, const PackBlob *b, PackSlot *ret) {
        int r;

        assert(p);
        assert(b);
        assert(b->length >= CIPHER_OVERHEAD);
        assert(ret);

        lock(p);
        r = reserve(p, b, ret);
        unlock(p);
        return r;
}

/* The end of what is filled in without a gap. */
static size_t whole_end(Pack *k) {
        while (k->n_whole < k->n_blobs && k->filled[k->n_whole])
                k->n_whole++;
        return k->n_whole < k->n_blobs ? k->blobs[k->n_whole].offset : k->used;
}

/* With the lock, which is let go meanwhile: takes into the digest what is there. */
static void hash_whole(Packer *p, Pack *k) {
        size_t end;

        while (!k->hashing && p->error == 0 && (end = whole_end(k)) - k->hashed >= HASH_SIZE) {
                int r;

                k->hashing = true;
                unlock(p);
                r = sha256_add(k->digest, k->data + k->hashed, end - k->hashed);
                lock(p);
                k->hashing = false;
                k->hashed = end;
                if (r < 0)
                        fail_locked(p, r, NULL);
        }
}

void packer_filled(Packer *p, const PackSlot *slot) {
        Pack *k = slot->pack;

        assert(p);

        lock(p);
        assert(k->unfilled > 0 && !k->filled[slot->number]);
        k->filled[slot->number] = true;
        hash_whole(p, k);
        k->unfilled--;
        enqueue_whole(p, k);
        unlock(p);
}

/* --- Uploads ------------------------------------------------------------------------------------------ */

/* Puts the sealed header and the trailer behind the blobs. */
static int pack_end(Pack *k, Cipher *cipher) {
        _cleanup_buffer_ Buffer header = BUFFER_NULL;
        uint32_t sealed;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < k->n_blobs; i++)
                r = pack_header_add(&header, &k->blobs[i]);
        if (r < 0)
                return r;
        sealed = (uint32_t) (header.size + CIPHER_OVERHEAD);
        if (k->used + sealed + PACK_TRAILER_SIZE > k->capacity)
                return -EOVERFLOW;
        r = cipher_seal(cipher, header.data, header.size, k->data + k->used);
        if (r < 0)
                return r;
        k->used += sealed;
        pack_trailer_format(sealed, k->data + k->used);
        k->used += PACK_TRAILER_SIZE;
        return 0;
}

static int pack_put(Packer *p, const Pack *k, const Id *id, Failure *reterr_failure) {
        _cleanup_(storage_put_freep) StoragePut *put = NULL;
        _cleanup_(freep) char *key = NULL;
        char hex[ID_HEX_SIZE];
        int r;

        (void) id_to_hex(id, hex);
        r = asprintf_safe(&key, "%sdata/%.2s/%s", p->prefix, hex, hex);
        if (r >= 0)
                r = storage_put_new(p->args.storage, key, &put, reterr_failure);
        for (size_t done = 0; r >= 0 && done < k->used; done += WRITE_SIZE)
                r = storage_put_write(put, k->data + done, MIN(WRITE_SIZE, k->used - done), reterr_failure);
        return r < 0 ? r : storage_put_commit(put, id->bytes, reterr_failure);
}

/* Remembers for the index what is stored. */
static int pack_stored(Packer *p, Pack *k, const Id *id) {
        Stored *s = new0(Stored, 1);

        if (!s)
                return -ENOMEM;
        s->id = *id;
        s->blobs = TAKE_PTR(k->blobs);
        s->n_blobs = k->n_blobs;
        k->n_allocated = 0;
        p->bytes += k->used;
        lock(p);
        s->next = p->stored;
        p->stored = s;
        p->n_stored_blobs += s->n_blobs;
        unlock(p);
        return 0;
}

static int upload(Packer *p, Pack *k, Cipher *cipher, Failure *reterr_failure) {
        Id id;
        int r;

        r = pack_end(k, cipher);
        if (r >= 0)
                r = sha256_add(k->digest, k->data + k->hashed, k->used - k->hashed);
        if (r >= 0)
                r = sha256_finish(k->digest, id.bytes);
        if (r >= 0)
                r = pack_put(p, k, &id, reterr_failure);
        return r < 0 ? r : pack_stored(p, k, &id);
}

/* --- The index ---------------------------------------------------------------------------------------- */

static int index_put(Packer *p, const Stored *list, Failure *reterr_failure) {
        _cleanup_buffer_ Buffer json = BUFFER_NULL;
        IndexFileWriter w;
        int r;

        r = index_file_begin(&w, &json, NULL, 0);
        for (; r >= 0 && list; list = list->next)
                r = index_file_add(&w, &list->id, list->blobs, list->n_blobs);
        if (r >= 0)
                r = index_file_end(&w);
        return r < 0 ? r : p->args.put_index(p->args.userdata, json.data, json.size, reterr_failure);
}

/* Writes an index file of all that is stored, where it is time, or where all of it is to be listed. */
static int index_write(Packer *p, bool all, Failure *reterr_failure) {
        _cleanup_(stored_freep) Stored *list = NULL;
        usec_t now = now_usec(CLOCK_MONOTONIC);
        int r;

        lock(p);
        if (p->stored && !p->indexing &&
            (all || p->n_stored_blobs >= PACKER_INDEX_BLOBS ||
             now >= usec_add(p->indexed, p->args.index_interval))) {
                list = TAKE_PTR(p->stored);
                p->n_stored_blobs = 0;
                p->indexing = true;
        }
        unlock(p);
        if (!list)
                return 0;
        r = index_put(p, list, reterr_failure);
        lock(p);
        p->indexing = false;
        p->indexed = now_usec(CLOCK_MONOTONIC);
        unlock(p);
        return r;
}

/* --- Threads ------------------------------------------------------------------------------------------ */

/* The next pack to upload; NULL: no more. */
static Pack *pack_take(Packer *p) {
        Pack *k = NULL;

        lock(p);
        while (p->error == 0 && !p->first && !p->ended)
                (void) pthread_cond_wait(&p->work, &p->pool->lock);
        if (p->error == 0 && p->first) {
                k = p->first;
                p->first = k->next;
                if (!p->first)
                        p->last = &p->first;
                p->n_uploading++;
        }
        unlock(p);
        return k;
}

/* Gives the memory to the next pack. */
static void pack_release(Packer *p, Pack *k) {
        lock(p);
        pack_drop(p, k);
        p->n_uploading--;
        (void) pthread_cond_broadcast(&p->work);
        unlock(p);
}

static void *upload_main(void *userdata) {
        Packer *p = ASSERT_PTR(userdata);
        _cleanup_(cipher_freep) Cipher *cipher = NULL;
        Pack *k;
        int r;

        r = cipher_new(p->args.key, &cipher);
        if (r < 0)
                (void) fail(p, r, NULL);
        while ((k = pack_take(p))) {
                _cleanup_failure_ Failure f = FAILURE_NULL;

                r = upload(p, k, cipher, &f);
                if (r >= 0)
                        r = index_write(p, /* all= */ false, &f);
                if (r < 0)
                        (void) fail(p, r, &f);
                pack_release(p, k);
        }
        return NULL;
}

/* --- The face ----------------------------------------------------------------------------------------- */

int packer_finish(Packer *p) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r;

        assert(p);

        lock(p);
        for (BlobType t = 0; t < _BLOB_TYPE_MAX; t++) {
                assert(!p->open[t] || p->open[t]->unfilled == 0);
                close_pack(p, t);
        }
        while (p->error == 0 && (p->first || p->n_uploading > 0))
                (void) pthread_cond_wait(&p->work, &p->pool->lock);
        r = p->error;
        unlock(p);
        if (r >= 0)
                r = index_write(p, /* all= */ true, &f);
        return r < 0 ? fail(p, r, &f) : 0;
}

static void pool_leave(Packer *p) {
        lock(p);
        for (Packer **at = &p->pool->packers; *at; at = &(*at)->next)
                if (*at == p) {
                        *at = p->next;
                        p->pool->n_packers--;
                        break;
                }
        unlock(p);
        if (p->own_pool)
                pack_pool_free(p->pool);
}

Packer *packer_free(Packer *p) {
        if (!p)
                return NULL;
        if (p->pool) {
                lock(p);
                p->ended = true;
                fail_locked(p, -ECANCELED, NULL);
                unlock(p);
                for (unsigned i = 0; i < p->n_threads; i++)
                        (void) pthread_join(p->threads[i], NULL);
                pool_leave(p);
        }
        stored_free(p->stored);
        failure_done(&p->failure);
        free(p->prefix);
        (void) pthread_cond_destroy(&p->work);
        return mfree(p);
}

static int pool_join(Packer *p) {
        int r;

        p->pool = p->args.pool;
        p->own_pool = !p->pool;
        if (p->own_pool) {
                r = pack_pool_new(PACK_POOL_LIMIT, &p->pool);
                if (r < 0)
                        return r;
        }
        lock(p);
        p->next = p->pool->packers;
        p->pool->packers = p;
        p->pool->n_packers++;
        unlock(p);
        return 0;
}

int packer_new(const PackerArgs *args, Packer **ret) {
        _cleanup_(packer_freep) Packer *p = NULL;
        int r;

        assert(args);
        assert(args->storage);
        assert(args->key);
        assert(args->uploads > 0 && args->uploads <= PACKER_UPLOADS_MAX);
        assert(args->put_index);
        assert(ret);

        p = new0(Packer, 1);
        if (!p)
                return -ENOMEM;
        (void) pthread_cond_init(&p->work, NULL);
        p->args = *args;
        p->last = &p->first;
        p->indexed = now_usec(CLOCK_MONOTONIC);
        r = free_and_strdup(&p->prefix, strempty(args->prefix));
        if (r >= 0)
                r = pool_join(p);
        if (r < 0)
                return r;
        for (; p->n_threads < args->uploads; p->n_threads++) {
                r = pthread_create(&p->threads[p->n_threads], NULL, upload_main, p);
                if (r != 0)
                        return -r;
        }
        *ret = TAKE_PTR(p);
        return 0;
}
