/* SPDX-License-Identifier: Apache-2.0 */

/* A pack is made by the first blob that finds none open, closed by the blob that makes it full, and goes
 * into the queue when the last of its blobs is filled in. Its header and its name are made by the upload. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "repository/index-file.h"
#include "repository/packer.h"

/* Beyond a full pack: its last blob, and the header of as many blobs as a pack of small ones has. */
#define PACK_ROOM (((size_t) 8 << 20) + CIPHER_OVERHEAD)
/* Blobs of an average of 400 bytes make a header that restic still takes. */
#define PACK_BLOBS_MAX 40000
#define PACK_END (pack_header_size_max(PACK_BLOBS_MAX) + CIPHER_OVERHEAD + PACK_TRAILER_SIZE)
#define WRITE_SIZE ((size_t) 1 << 20)
/* Who fills a pack hashes so much of it at a time, while it is still in the processor's cache. */
#define HASH_SIZE ((size_t) 256 << 10)
/* Packs that are full while the next one fills: one that is written, one that waits for the disk. */
#define CLOSED_MIN 2U

struct Pack {
        Pack *next;
        uint8_t *data;
        size_t capacity, used;
        PackBlob *blobs;
        bool *filled; /* of each */
        size_t n_blobs, n_allocated;
        unsigned unfilled; /* rooms that were given out */
        bool closed;
        bool again; /* its memory is for others after it */
        Sha256 *digest;
        size_t n_whole; /* blobs at the beginning that are filled in */
        size_t hashed;  /* bytes at the beginning that the digest has */
        bool hashing;   /* by one of those who fill */
};

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
        pthread_mutex_t lock;
        pthread_cond_t changed;
        Pack *open[_BLOB_TYPE_MAX];
        Pack *first, **last; /* to be uploaded */
        Pack *spares;        /* memory for the next ones */
        unsigned n_closed;   /* not open any more, not yet uploaded */
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

static void pack_free(Pack *k) {
        if (!k)
                return;
        if (k->data)
                (void) munmap(k->data, k->capacity);
        sha256_free(k->digest);
        free(k->blobs);
        free(k->filled);
        free(k);
}

static void packs_free(Pack *first) {
        while (first) {
                Pack *next = first->next;

                pack_free(first);
                first = next;
        }
}

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

/* The first error stays. Takes the text of f over. */
static void fail_locked(Packer *p, int error, Failure *f) {
        if (p->error == 0) {
                p->error = error;
                if (f) {
                        p->failure = *f;
                        *f = FAILURE_NULL;
                }
        }
        (void) pthread_cond_broadcast(&p->changed);
}

static int fail(Packer *p, int error, Failure *f) {
        (void) pthread_mutex_lock(&p->lock);
        fail_locked(p, error, f);
        (void) pthread_mutex_unlock(&p->lock);
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

        (void) pthread_mutex_lock(&p->lock);
        error = p->error;
        if (error < 0 && failure_is_set(&p->failure))
                (void) failure_set(reterr_failure, error, p->failure.code, "%s",
                                   failure_message(&p->failure, error));
        (void) pthread_mutex_unlock(&p->lock);
        return error;
}

uint64_t packer_stored(const Packer *p) {
        assert(p);

        return p->bytes;
}

/* --- Filling ------------------------------------------------------------------------------------------ */

/* With the lock: it is for the uploads as soon as nobody fills it any more. */
static void enqueue_whole(Packer *p, Pack *k) {
        if (!k->closed || k->unfilled > 0)
                return;
        *p->last = k;
        p->last = &k->next;
        (void) pthread_cond_broadcast(&p->changed);
}

static void close_pack(Packer *p, BlobType type) {
        Pack *k = TAKE_PTR(p->open[type]);

        if (!k)
                return;
        k->closed = true;
        p->n_closed++;
        enqueue_whole(p, k);
}

static int pack_map(size_t capacity, Pack **ret) {
        Pack *k = new0(Pack, 1);
        void *data;

        if (!k)
                return -ENOMEM;
        data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                    0);
        if (data != MAP_FAILED) {
                k->data = data;
                k->capacity = capacity;
        }
        if (data == MAP_FAILED || sha256_new(&k->digest) < 0) {
                pack_free(k);
                return -ENOMEM;
        }
        *ret = k;
        return 0;
}

/* A pack of this type with room for a blob of this length. Memory is used again for data alone: packs of
 * trees are seldom full. */
static int pack_new(Packer *p, BlobType type, size_t length, Pack **ret) {
        bool again = type == BLOB_DATA && length <= PACK_ROOM;
        int r;

        if (again && p->spares) {
                *ret = p->spares;
                p->spares = (*ret)->next;
                (*ret)->next = NULL;
                return 0;
        }
        r = pack_map(PACK_FULL + MAX(length, PACK_ROOM) + PACK_END, ret);
        if (r >= 0)
                (*ret)->again = again;
        return r;
}

static int pack_add(Pack *k, const PackBlob *b) {
        if (k->n_blobs == k->n_allocated) {
                size_t n = k->n_allocated == 0 ? 64 : 2 * k->n_allocated;
                PackBlob *grown = reallocarray(k->blobs, n, sizeof *grown);
                bool *filled = reallocarray(k->filled, n, sizeof *filled);

                if (grown)
                        k->blobs = grown;
                if (filled)
                        k->filled = filled;
                if (!grown || !filled)
                        return -ENOMEM;
                k->n_allocated = n;
        }
        k->blobs[k->n_blobs] = *b;
        k->filled[k->n_blobs] = false;
        k->blobs[k->n_blobs++].offset = (uint32_t) k->used;
        k->used += b->length;
        k->unfilled++;
        return 0;
}

/* With the lock: an open pack of the type that this blob fits into. */
static int pack_find(Packer *p, const PackBlob *b, Pack **ret) {
        Pack *k;
        int r;

        while (p->error == 0) {
                k = p->open[b->type];
                /* One of unusual size gets a pack of its own. */
                if (k && k->n_blobs > 0 && b->length > PACK_ROOM) {
                        close_pack(p, b->type);
                        continue;
                }
                if (k) {
                        *ret = k;
                        return 0;
                }
                if (p->n_closed < MAX(p->args.uploads, CLOSED_MIN)) {
                        r = pack_new(p, b->type, b->length, &p->open[b->type]);
                        if (r < 0)
                                return r;
                        continue;
                }
                (void) pthread_cond_wait(&p->changed, &p->lock);
        }
        return p->error;
}

static int reserve(Packer *p, const PackBlob *b, PackSlot *ret) {
        Pack *k = NULL;
        int r;

        r = pack_find(p, b, &k);
        if (r < 0)
                return r;
        ret->pack = k;
        ret->number = k->n_blobs;
        ret->data = k->data + k->used;
        r = pack_add(k, b);
        if (r < 0)
                return r;
        if (k->used >= (b->type == BLOB_TREE ? PACK_FULL_TREES : PACK_FULL) || k->n_blobs >= PACK_BLOBS_MAX)
                close_pack(p, b->type);
        return 0;
}

int packer_reserve(Packer *p, const PackBlob *b, PackSlot *ret) {
        int r;

        assert(p);
        assert(b);
        assert(b->length >= CIPHER_OVERHEAD);
        assert(ret);

        (void) pthread_mutex_lock(&p->lock);
        r = reserve(p, b, ret);
        (void) pthread_mutex_unlock(&p->lock);
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
                (void) pthread_mutex_unlock(&p->lock);
                r = sha256_add(k->digest, k->data + k->hashed, end - k->hashed);
                (void) pthread_mutex_lock(&p->lock);
                k->hashing = false;
                k->hashed = end;
                if (r < 0)
                        fail_locked(p, r, NULL);
        }
}

void packer_filled(Packer *p, const PackSlot *slot) {
        Pack *k = slot->pack;

        assert(p);

        (void) pthread_mutex_lock(&p->lock);
        assert(k->unfilled > 0 && !k->filled[slot->number]);
        k->filled[slot->number] = true;
        hash_whole(p, k);
        k->unfilled--;
        enqueue_whole(p, k);
        (void) pthread_mutex_unlock(&p->lock);
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
        (void) pthread_mutex_lock(&p->lock);
        s->next = p->stored;
        p->stored = s;
        p->n_stored_blobs += s->n_blobs;
        (void) pthread_mutex_unlock(&p->lock);
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

        (void) pthread_mutex_lock(&p->lock);
        if (p->stored && !p->indexing &&
            (all || p->n_stored_blobs >= PACKER_INDEX_BLOBS ||
             now >= usec_add(p->indexed, p->args.index_interval))) {
                list = TAKE_PTR(p->stored);
                p->n_stored_blobs = 0;
                p->indexing = true;
        }
        (void) pthread_mutex_unlock(&p->lock);
        if (!list)
                return 0;
        r = index_put(p, list, reterr_failure);
        (void) pthread_mutex_lock(&p->lock);
        p->indexing = false;
        p->indexed = now_usec(CLOCK_MONOTONIC);
        (void) pthread_mutex_unlock(&p->lock);
        return r;
}

/* --- Threads ------------------------------------------------------------------------------------------ */

/* The next pack to upload; NULL: no more. */
static Pack *pack_take(Packer *p) {
        Pack *k = NULL;

        (void) pthread_mutex_lock(&p->lock);
        while (p->error == 0 && !p->first && !p->ended)
                (void) pthread_cond_wait(&p->changed, &p->lock);
        if (p->error == 0 && p->first) {
                k = p->first;
                p->first = k->next;
                if (!p->first)
                        p->last = &p->first;
                p->n_uploading++;
        }
        (void) pthread_mutex_unlock(&p->lock);
        return k;
}

/* Gives the memory to the next pack. */
static void pack_release(Packer *p, Pack *k) {
        (void) pthread_mutex_lock(&p->lock);
        k->used = k->n_blobs = k->n_whole = k->hashed = 0;
        k->closed = false;
        if (k->again) {
                k->next = p->spares;
                p->spares = TAKE_PTR(k);
        }
        p->n_closed--;
        p->n_uploading--;
        (void) pthread_cond_broadcast(&p->changed);
        (void) pthread_mutex_unlock(&p->lock);
        pack_free(k);
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

        (void) pthread_mutex_lock(&p->lock);
        for (BlobType t = 0; t < _BLOB_TYPE_MAX; t++) {
                assert(!p->open[t] || p->open[t]->unfilled == 0);
                close_pack(p, t);
        }
        while (p->error == 0 && (p->first || p->n_uploading > 0))
                (void) pthread_cond_wait(&p->changed, &p->lock);
        r = p->error;
        (void) pthread_mutex_unlock(&p->lock);
        if (r >= 0)
                r = index_write(p, /* all= */ true, &f);
        return r < 0 ? fail(p, r, &f) : 0;
}

Packer *packer_free(Packer *p) {
        if (!p)
                return NULL;
        (void) pthread_mutex_lock(&p->lock);
        p->ended = true;
        fail_locked(p, -ECANCELED, NULL);
        (void) pthread_mutex_unlock(&p->lock);
        for (unsigned i = 0; i < p->n_threads; i++)
                (void) pthread_join(p->threads[i], NULL);
        for (BlobType t = 0; t < _BLOB_TYPE_MAX; t++)
                pack_free(p->open[t]);
        packs_free(p->first);
        packs_free(p->spares);
        stored_free(p->stored);
        failure_done(&p->failure);
        free(p->prefix);
        (void) pthread_cond_destroy(&p->changed);
        (void) pthread_mutex_destroy(&p->lock);
        return mfree(p);
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
        (void) pthread_mutex_init(&p->lock, NULL);
        (void) pthread_cond_init(&p->changed, NULL);
        p->args = *args;
        p->last = &p->first;
        p->indexed = now_usec(CLOCK_MONOTONIC);
        r = free_and_strdup(&p->prefix, strempty(args->prefix));
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
