/* SPDX-License-Identifier: Apache-2.0 */

/* Reading packs: the header from the end first, then the blobs in order, some at a time. Each byte counts
 * for the digest of the pack before it is decrypted in place. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/check-run.h"

#define THREADS_MAX 16
#define READ_SIZE ((uint64_t) 2 << 20) /* at once, or one blob */

typedef struct Checker {
        CheckRun *run;
        BlobDecoder *decoder;
        Cipher *cipher;
        Sha256 *digest;
        uint8_t *buffer;
        size_t allocated;
} Checker;

static void checker_done(Checker *c) {
        blob_decoder_free(c->decoder);
        cipher_free(c->cipher);
        sha256_free(c->digest);
        free(c->buffer);
}

/* What is read of one pack. */
typedef struct PackReading {
        const CheckPack *pack;
        char *key;
        PackBlob *blobs;
        size_t n_blobs;
        uint8_t *tail; /* the sealed header and its size */
        size_t tail_size;
        Failure failure;
} PackReading;

static void reading_done(PackReading *p) {
        free(p->key);
        free(p->blobs);
        free(p->tail);
        failure_done(&p->failure);
}

/* Exactly n bytes. */
static int read_range(Checker *c, PackReading *p, uint64_t offset, uint8_t *buf, size_t n) {
        Storage *s = repository_storage(c->run->args->repository);
        ssize_t k;

        k = storage_read_at(s, p->key, offset, buf, n, &p->failure);
        if (k < 0)
                return (int) k;
        return (size_t) k == n ? 0 : failure_set(&p->failure, -EBADMSG, "PACK_DAMAGED", "It is cut off");
}

static int read_header(Checker *c, PackReading *p) {
        uint8_t trailer[PACK_TRAILER_SIZE];
        _cleanup_(freep) uint8_t *plain = NULL;
        uint64_t size = p->pack->size;
        uint32_t header;
        int r;

        if (size < PACK_TRAILER_SIZE)
                return failure_set(&p->failure, -EBADMSG, "PACK_DAMAGED", "It is cut off");
        r = read_range(c, p, size - PACK_TRAILER_SIZE, trailer, sizeof(trailer));
        if (r < 0)
                return r;
        r = pack_trailer_parse(trailer, size, &header);
        if (r < 0)
                return failure_set(&p->failure, r, "PACK_DAMAGED", "The size of its header is impossible");
        p->tail_size = (size_t) header + PACK_TRAILER_SIZE;
        p->tail = malloc(p->tail_size);
        plain = malloc(header);
        if (!p->tail || !plain)
                return -ENOMEM;
        r = read_range(c, p, size - p->tail_size, p->tail, p->tail_size);
        if (r < 0)
                return r;
        r = cipher_open(c->cipher, p->tail, header, plain);
        if (r < 0)
                return failure_set(&p->failure, r, "PACK_DAMAGED", "Its header is damaged");
        return pack_header_parse(plain, header - CIPHER_OVERHEAD, size - p->tail_size, &p->blobs,
                                 &p->n_blobs,
                                 &p->failure);
}

/* Whether the index has the blob at this place. */
static bool is_indexed(const CheckRun *r, const Id *pack, const PackBlob *b) {
        uint64_t cursor = 0;
        IndexEntry e;

        while (repo_index_find(r->index, b->type, &b->id, &cursor, &e))
                if (id_equal(repo_index_pack(r->index, e.pack), pack) && e.blob.offset == b->offset &&
                    e.blob.length == b->length && e.blob.uncompressed_length == b->uncompressed_length)
                        return true;
        return false;
}

static int check_blob(Checker *c, const PackReading *p, const PackBlob *b, uint8_t *sealed) {
        char blob[ID_HEX_SIZE], pack[ID_HEX_SIZE];
        int r;

        r = blob_verify(c->decoder, b, sealed);
        if (r == -EBADMSG)
                return check_problem(c->run, "In pack %.16s the %s blob %.16s is damaged",
                                     id_to_hex(&p->pack->id, pack), blob_type_to_string(b->type),
                                     id_to_hex(&b->id, blob));
        if (r >= 0 && p->pack->indexed && !is_indexed(c->run, &p->pack->id, b))
                return check_problem(c->run,
                                     "The pack %.16s has the %s blob %.16s, and the index says otherwise",
                                     id_to_hex(&p->pack->id, pack), blob_type_to_string(b->type),
                                     id_to_hex(&b->id, blob));
        return r;
}

static int make_room(Checker *c, size_t n) {
        if (n <= c->allocated)
                return 0;
        free(c->buffer);
        c->buffer = malloc(n);
        c->allocated = c->buffer ? n : 0;
        return c->buffer ? 0 : -ENOMEM;
}

/* Blobs from i on, as many as are read at once; gives the next. */
static int check_some(Checker *c, PackReading *p, size_t *i) {
        uint64_t from = p->blobs[*i].offset, size = 0;
        size_t end = *i;
        int r;

        while (end < p->n_blobs && (size == 0 || size + p->blobs[end].length <= READ_SIZE))
                size += p->blobs[end++].length;
        r = make_room(c, size);
        if (r >= 0)
                r = read_range(c, p, from, c->buffer, size);
        if (r >= 0)
                r = sha256_add(c->digest, c->buffer, size);
        for (; *i < end && r >= 0; (*i)++)
                r = check_blob(c, p, p->blobs + *i, c->buffer + (p->blobs[*i].offset - from));
        return r;
}

static int check_content(Checker *c, PackReading *p) {
        Id id;
        int r = 0;

        for (size_t i = 0; i < p->n_blobs && r >= 0;) {
                if (check_is_cancelled(c->run))
                        return -ECANCELED;
                r = check_some(c, p, &i);
        }
        if (r >= 0)
                r = sha256_add(c->digest, p->tail, p->tail_size);
        if (r < 0)
                return r;
        r = sha256_finish(c->digest, id.bytes);
        if (r >= 0 && !id_equal(&id, &p->pack->id))
                return failure_set(&p->failure, -EBADMSG, "PACK_DAMAGED", "It is not what its name says");
        return r;
}

static int check_pack(Checker *c, const CheckPack *pack) {
        _cleanup_(reading_done) PackReading p = { .pack = pack };
        char hex[ID_HEX_SIZE];
        Id rest;
        int r;

        r = repository_path(c->run->args->repository, REPO_FILE_PACK, &pack->id, &p.key);
        if (r >= 0)
                r = read_header(c, &p);
        if (r >= 0)
                r = check_content(c, &p);
        if (r < 0)
                (void) !sha256_finish(c->digest, rest.bytes); /* the next one begins anew */
        if (r == -ENOMEM || r == -ECANCELED)
                return r;
        (void) pthread_mutex_lock(&c->run->lock);
        c->run->result->packs_read++;
        c->run->result->bytes_read += pack->size;
        (void) pthread_mutex_unlock(&c->run->lock);
        if (r >= 0)
                return 0;
        return check_problem(c->run, "The pack %.16s %s: %s", id_to_hex(&pack->id, hex),
                             r == -EBADMSG ? "is damaged" : "cannot be read",
                             failure_message(&p.failure, r));
}

/* As restic divides them. */
static bool is_chosen(const RepositoryCheckArgs *args, const CheckPack *p) {
        return p->listed && p->id.bytes[0] % args->shares == args->share - 1;
}

static int check_packs(Checker *c) {
        CheckRun *run = c->run;
        int r;

        r = blob_decoder_new(repository_key(run->args->repository), &c->decoder);
        if (r >= 0)
                r = cipher_new(repository_key(run->args->repository), &c->cipher);
        if (r >= 0)
                r = sha256_new(&c->digest);
        while (r >= 0 && atomic_load(&run->error) == 0) {
                size_t i = atomic_fetch_add(&run->next, 1);

                if (i >= run->n_packs)
                        return 0;
                if (is_chosen(run->args, run->packs + i))
                        r = check_pack(c, run->packs + i);
        }
        return r;
}

static void *check_thread(void *userdata) {
        _cleanup_(checker_done) Checker c = { .run = ASSERT_PTR(userdata) };
        int r = check_packs(&c);

        if (r < 0)
                atomic_store(&c.run->error, r);
        return NULL;
}

int check_data(CheckRun *r) {
        pthread_t threads[THREADS_MAX];
        unsigned wanted, n = 0;
        int k = 0;

        assert(r);
        assert(r->args->share > 0 && r->args->share <= r->args->shares);

        wanted = MIN(repository_read_threads(r->args->repository, r->args->n_threads),
                     (unsigned) THREADS_MAX);
        for (; n < wanted && k >= 0; n += k >= 0)
                k = -pthread_create(threads + n, NULL, check_thread, r);
        for (unsigned i = 0; i < n; i++)
                (void) pthread_join(threads[i], NULL);
        return n == 0 ? k : atomic_load(&r->error);
}
