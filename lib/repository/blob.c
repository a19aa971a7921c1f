/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/blob.h"

/* What is read at once, at least: little for who wants the few trees of one path, and twice as much whenever
 * what is wanted next lies near, until it is one round trip for some hundred trees. */
#define READ_FIRST ((size_t) 64 << 10)
#define READ_AHEAD ((size_t) 1 << 20)
#define PIECE_SIZE ((size_t) 64 << 10)

struct BlobDecoder {
        Cipher *cipher;
        Decompressor *decompressor;
        Sha256 *digest;
        uint8_t *piece;
};

BlobDecoder *blob_decoder_free(BlobDecoder *d) {
        if (!d)
                return NULL;
        cipher_free(d->cipher);
        decompressor_free(d->decompressor);
        sha256_free(d->digest);
        free(d->piece);
        return mfree(d);
}

int blob_decoder_new(const CipherKey *key, BlobDecoder **ret) {
        _cleanup_(blob_decoder_freep) BlobDecoder *d = NULL;
        int r;

        assert(key);
        assert(ret);

        d = new0(BlobDecoder, 1);
        if (!d)
                return -ENOMEM;
        d->piece = malloc(PIECE_SIZE);
        if (!d->piece)
                return -ENOMEM;
        r = cipher_new(key, &d->cipher);
        if (r >= 0)
                r = decompressor_new(&d->decompressor);
        if (r >= 0)
                r = sha256_new(&d->digest);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

int blob_decode(BlobDecoder *d, const PackBlob *b, uint8_t *sealed, void *out) {
        uint8_t *plain = sealed + CIPHER_IV_SIZE;
        Id id;
        int r;

        assert(d);
        assert(b && b->length >= CIPHER_OVERHEAD);
        assert(sealed);
        assert(out);

        if (b->uncompressed_length == 0)
                r = cipher_open(d->cipher, sealed, b->length, out);
        else {
                r = cipher_open(d->cipher, sealed, b->length, plain);
                if (r >= 0)
                        r = decompressor_run(d->decompressor, plain, b->length - CIPHER_OVERHEAD, out,
                                             b->uncompressed_length);
        }
        if (r >= 0)
                r = id_of(out, pack_blob_plain_length(b), &id);
        if (r < 0)
                return r;
        return id_equal(&id, &b->id) ? 0 : -EBADMSG;
}

int blob_verify(BlobDecoder *d, const PackBlob *b, uint8_t *sealed) {
        uint8_t *plain = sealed + CIPHER_IV_SIZE;
        size_t size = b->length - CIPHER_OVERHEAD;
        uint64_t total = 0;
        ssize_t n;
        Id id;
        int r;

        assert(d);
        assert(sealed);

        r = cipher_open(d->cipher, sealed, b->length, plain);
        if (r < 0)
                return r;
        if (b->uncompressed_length == 0)
                r = id_of(plain, size, &id);
        else {
                r = decompressor_begin(d->decompressor, plain, size);
                if (r < 0)
                        return r;
                while ((n = decompressor_read(d->decompressor, d->piece, PIECE_SIZE)) > 0) {
                        total += (uint64_t) n;
                        r = sha256_add(d->digest, d->piece, (size_t) n);
                        if (r < 0 || total > b->uncompressed_length)
                                break;
                }
                r = sha256_finish(d->digest, id.bytes); /* also so that the next one begins anew */
                if (r >= 0 && n < 0)
                        r = (int) n;
                if (r >= 0 && total != b->uncompressed_length)
                        r = -EBADMSG;
        }
        if (r < 0)
                return r;
        return id_equal(&id, &b->id) ? 0 : -EBADMSG;
}

/* --- From packs -------------------------------------------------------------------------------------- */

struct BlobReader {
        Repository *repository; /* weak */
        const RepoIndex *index; /* weak */
        BlobDecoder *decoder;
        uint32_t pack; /* what is in the window */
        uint64_t offset;
        size_t size, allocated;
        size_t ahead; /* what is read at once by now */
        uint8_t *window;
        uint8_t *sealed; /* a copy of one blob: it is decrypted in place */
        size_t sealed_allocated;
};

BlobReader *blob_reader_free(BlobReader *b) {
        if (!b)
                return NULL;
        blob_decoder_free(b->decoder);
        free(b->window);
        free(b->sealed);
        return mfree(b);
}

int blob_reader_new(Repository *r, const RepoIndex *x, BlobReader **ret) {
        _cleanup_(blob_reader_freep) BlobReader *b = NULL;
        int k;

        assert(r);
        assert(x);
        assert(ret);

        b = new0(BlobReader, 1);
        if (!b)
                return -ENOMEM;
        b->repository = r;
        b->index = x;
        k = blob_decoder_new(repository_key(r), &b->decoder);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(b);
        return 0;
}

static int make_room(uint8_t **p, size_t *allocated, size_t n) {
        uint8_t *grown;

        if (n <= *allocated)
                return 0;
        grown = malloc(n);
        if (!grown)
                return -ENOMEM;
        free(*p);
        *p = grown;
        *allocated = n;
        return 0;
}

/* What to read for a blob that is not in the window. A tree stands behind those of the directories in it, so
 * who goes down goes back in the pack. */
static size_t choose_range(BlobReader *b, const IndexEntry *e, uint64_t *ret_from) {
        uint64_t offset = e->blob.offset;
        bool near = b->size > 0 && b->pack == e->pack && offset <= b->offset + b->size + READ_AHEAD &&
                        b->offset <= offset + READ_AHEAD;
        size_t n, before;

        b->ahead = near ? MIN(2 * b->ahead, READ_AHEAD) : READ_FIRST;
        n = MAX((size_t) e->blob.length, b->ahead);
        before = near && offset >= b->offset ? 0 : (n - e->blob.length) / 2;
        *ret_from = offset - MIN((uint64_t) before, offset);
        return n;
}

/* Makes the window hold the blob. */
static int read_window(BlobReader *b, const IndexEntry *e, Failure *f) {
        _cleanup_(freep) char *key = NULL;
        uint64_t from;
        size_t want;
        ssize_t n;
        int r;

        assert(b);

        if (b->size > 0 && b->pack == e->pack && e->blob.offset >= b->offset &&
            e->blob.offset + (uint64_t) e->blob.length <= b->offset + b->size)
                return 0;
        want = choose_range(b, e, &from);
        b->size = 0;
        r = make_room(&b->window, &b->allocated, want);
        if (r >= 0)
                r = repository_path(b->repository, REPO_FILE_PACK, repo_index_pack(b->index, e->pack), &key);
        if (r < 0)
                return r;
        n = storage_read_at(repository_storage(b->repository), key, from, b->window, want, f);
        if (n < 0)
                return (int) n;
        if ((uint64_t) n < e->blob.offset - from + e->blob.length)
                return -EBADMSG;
        b->pack = e->pack;
        b->offset = from;
        b->size = (size_t) n;
        return 0;
}

static int read_place(BlobReader *b, const IndexEntry *e, Buffer *ret, Failure *f) {
        uint32_t n = pack_blob_plain_length(&e->blob);
        int r;

        r = read_window(b, e, f);
        if (r >= 0)
                r = make_room(&b->sealed, &b->sealed_allocated, e->blob.length);
        if (r < 0)
                return r;
        memcpy(b->sealed, b->window + (e->blob.offset - b->offset), e->blob.length);
        buffer_clear(ret);
        r = buffer_reserve(ret, n);
        if (r < 0)
                return r;
        r = blob_decode(b->decoder, &e->blob, b->sealed, ret->data);
        if (r < 0)
                return r;
        ret->size = n;
        ret->data[n] = 0;
        return 0;
}

/* What is large is read for itself, and takes no memory of the window. */
static int read_packed(BlobReader *b, const IndexEntry *e, Buffer *ret, Failure *f) {
        _cleanup_(freep) char *key = NULL;
        ssize_t n;
        int r;

        buffer_clear(ret);
        r = buffer_reserve(ret, e->blob.length);
        if (r >= 0)
                r = repository_path(b->repository, REPO_FILE_PACK, repo_index_pack(b->index, e->pack), &key);
        if (r < 0)
                return r;
        n = storage_read_at(repository_storage(b->repository), key, e->blob.offset, ret->data,
                            e->blob.length, f);
        if (n < 0)
                return (int) n;
        if ((size_t) n < e->blob.length)
                return -EBADMSG;
        r = blob_verify(b->decoder, &e->blob, (uint8_t *) ret->data);
        if (r < 0)
                return r;
        ret->size = e->blob.length - CIPHER_OVERHEAD;
        memmove(ret->data, ret->data + CIPHER_IV_SIZE, ret->size);
        ret->data[ret->size] = 0;
        return 0;
}

int blob_reader_get_packed(BlobReader *b, BlobType type, const Id *id, size_t whole, Buffer *ret,
                           bool *ret_packed, Failure *reterr_failure) {
        char blob[ID_HEX_SIZE], pack[ID_HEX_SIZE];
        uint64_t cursor = 0;
        IndexEntry e = {};
        int r = -ENOENT;

        assert(b);
        assert(id);
        assert(ret);
        assert(ret_packed);

        *ret_packed = false;
        while (repo_index_find(b->index, type, id, &cursor, &e)) {
                _cleanup_failure_ Failure here = FAILURE_NULL;
                IndexEntry other;
                uint64_t next = cursor;

                *ret_packed = e.blob.uncompressed_length > whole;
                r = *ret_packed ? read_packed(b, &e, ret, &here) : read_place(b, &e, ret, &here);
                if (r >= 0)
                        return 0;
                if (r == -ENOMEM || r == -ECANCELED)
                        return r;
                if (repo_index_find(b->index, type, id, &next, &other))
                        continue;
                if (r == -EBADMSG)
                        return failure_set(reterr_failure, r, "REPOSITORY_DAMAGED",
                                           "The %s blob %.16s in pack %.16s is damaged",
                                           blob_type_to_string(type), id_to_hex(id, blob),
                                           id_to_hex(repo_index_pack(b->index, e.pack), pack));
                return failure_set(reterr_failure, r, "PACK_UNREADABLE", "The pack %.16s cannot be read: %s",
                                   id_to_hex(repo_index_pack(b->index, e.pack), pack),
                                   failure_message(&here, r));
        }
        return failure_set(reterr_failure, -ENOENT, "BLOB_MISSING",
                           "The repository has no %s blob %.16s: its index does not list it",
                           blob_type_to_string(type), id_to_hex(id, blob));
}

int blob_reader_get(BlobReader *b, BlobType type, const Id *id, Buffer *ret, Failure *reterr_failure) {
        bool packed;

        return blob_reader_get_packed(b, type, id, SIZE_MAX, ret, &packed, reterr_failure);
}

static int verify_place(BlobReader *b, const IndexEntry *e, Failure *f) {
        int r;

        r = read_window(b, e, f);
        if (r >= 0)
                r = make_room(&b->sealed, &b->sealed_allocated, e->blob.length);
        if (r < 0)
                return r;
        memcpy(b->sealed, b->window + (e->blob.offset - b->offset), e->blob.length);
        return blob_verify(b->decoder, &e->blob, b->sealed);
}

int blob_reader_get_sealed(BlobReader *b, uint32_t first, PackBlob *ret, const uint8_t **ret_sealed,
                           Failure *reterr_failure) {
        _cleanup_failure_ Failure here = FAILURE_NULL;
        char blob[ID_HEX_SIZE], pack[ID_HEX_SIZE];
        IndexEntry wanted, e;
        uint64_t cursor = 0;
        int r;

        assert(b);
        assert(ret);
        assert(ret_sealed);

        repo_index_get(b->index, first, &wanted);
        e = wanted;
        do {
                r = verify_place(b, &e, &here);
                if (r >= 0) {
                        *ret = e.blob;
                        *ret_sealed = b->window + (e.blob.offset - b->offset);
                        return 0;
                }
                if (r == -ENOMEM || r == -ECANCELED)
                        return r;
        } while (repo_index_find(b->index, wanted.blob.type, &wanted.blob.id, &cursor, &e));
        return failure_set(reterr_failure, r, r == -EBADMSG ? "REPOSITORY_DAMAGED" : "PACK_UNREADABLE",
                           "The %s blob %.16s in pack %.16s cannot be read: %s",
                           blob_type_to_string(wanted.blob.type), id_to_hex(&wanted.blob.id, blob),
                           id_to_hex(repo_index_pack(b->index, wanted.pack), pack),
                           failure_message(&here, r));
}
