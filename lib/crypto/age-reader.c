/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "crypto/age-chunk.h"

/* A storage far away answers a large read almost as fast as a small one, so neighbouring chunks are fetched
 * together: a little more than the compressed frames that archives are made of. */
#define BATCH_CHUNKS 34

/* Most headers are some hundred bytes. */
#define HEADER_FIRST_READ 4096

#define NO_CHUNK UINT64_MAX

struct AgeReader {
        AgeReadAt read_at;
        void *userdata;
        Aead *cipher;
        uint64_t payload; /* where the chunks begin */
        uint64_t size;    /* of the plain bytes */
        uint64_t n_chunks;
        uint8_t *sealed; /* sealed_chunks chunks */
        size_t sealed_chunks;
        uint8_t *plain; /* the chunk that was needed in part last */
        uint64_t plain_index;
};

AgeReader *age_reader_free(AgeReader *r) {
        if (!r)
                return NULL;
        aead_free(r->cipher);
        if (r->plain)
                explicit_bzero(r->plain, AGE_CHUNK_SIZE);
        free(r->plain);
        free(r->sealed);
        return mfree(r);
}

uint64_t age_reader_size(const AgeReader *r) {
        assert(r);

        return r->size;
}

/* Reads exactly n bytes. */
static int read_exactly(AgeReader *r, uint64_t offset, uint8_t *buf, size_t n) {
        assert(r);

        while (n > 0) {
                ssize_t k = r->read_at(r->userdata, offset, buf, n);

                if (k < 0)
                        return (int) k;
                if (k == 0 || (size_t) k > n)
                        return -EBADMSG; /* shorter than it was said to be */
                offset += (size_t) k;
                buf += k;
                n -= (size_t) k;
        }
        return 0;
}

/* Reads header and nonce into out. */
static int read_header(AgeReader *r, uint64_t file_size, Buffer *out, size_t *ret_length) {
        size_t most = (size_t) MIN(file_size, (uint64_t) AGE_HEADER_MAX + AGE_NONCE_SIZE);
        size_t want = MIN(most, (size_t) HEADER_FIRST_READ);

        assert(out);

        for (;;) {
                int k;

                k = buffer_reserve(out, want - out->size);
                if (k < 0)
                        return k;
                k = read_exactly(r, out->size, (uint8_t *) out->data + out->size, want - out->size);
                if (k < 0)
                        return k;
                out->size = want;
                k = age_header_length(out->data, out->size, ret_length);
                if (k < 0 && k != -EAGAIN)
                        return k;
                if (k >= 0 && out->size >= *ret_length + AGE_NONCE_SIZE)
                        return 0;
                if (want == most)
                        return -EBADMSG;
                want = MIN(most, 4 * want);
        }
}

static int open_header(AgeReader *r, uint64_t file_size, const AgeKeys *keys) {
        _cleanup_buffer_ Buffer header = BUFFER_NULL;
        uint8_t file_key[AGE_FILE_KEY_SIZE];
        CLEANUP_ERASE(file_key);
        size_t length;
        int k;

        assert(r);

        k = read_header(r, file_size, &header, &length);
        if (k < 0)
                return k;
        k = age_header_unwrap(header.data, length, keys, file_key);
        if (k < 0)
                return k;
        r->payload = length + AGE_NONCE_SIZE;
        return age_payload_cipher(AEAD_OPEN, file_key, (const uint8_t *) header.data + length, &r->cipher);
}

static size_t sealed_size(const AgeReader *r, uint64_t index) {
        if (index + 1 < r->n_chunks)
                return AGE_SEALED_CHUNK_SIZE;
        return (size_t) (r->size - index * AGE_CHUNK_SIZE) + AGE_TAG_SIZE;
}

/* Reads count neighbouring chunks into r->sealed. */
static int fetch(AgeReader *r, uint64_t index, size_t count) {
        size_t n = (count - 1) * AGE_SEALED_CHUNK_SIZE + sealed_size(r, index + count - 1);

        assert(r);

        if (count > r->sealed_chunks) {
                free(r->sealed);
                r->sealed_chunks = 0;
                r->sealed = malloc(count * AGE_SEALED_CHUNK_SIZE);
                if (!r->sealed)
                        return -ENOMEM;
                r->sealed_chunks = count;
        }
        return read_exactly(r, r->payload + index * AGE_SEALED_CHUNK_SIZE, r->sealed, n);
}

/* Opens the chunk that lies at sealed, into the one that is kept. */
static int open_kept(AgeReader *r, uint64_t index, const uint8_t *sealed) {
        int k;

        assert(r);

        r->plain_index = NO_CHUNK;
        k = age_chunk_open(r->cipher, index, index + 1 == r->n_chunks, sealed, sealed_size(r, index),
                           r->plain);
        if (k < 0)
                return k;
        r->plain_index = index;
        return 0;
}

/* Sizes from the length of the file; the last chunk, opened here, proves them. */
static int open_payload(AgeReader *r, uint64_t file_size) {
        uint64_t n;
        int k;

        assert(r);

        if (file_size < r->payload + AGE_TAG_SIZE)
                return -EBADMSG;
        n = file_size - r->payload;
        r->n_chunks = n / AGE_SEALED_CHUNK_SIZE + (n % AGE_SEALED_CHUNK_SIZE > 0);
        if (n % AGE_SEALED_CHUNK_SIZE > 0 && n % AGE_SEALED_CHUNK_SIZE < AGE_TAG_SIZE)
                return -EBADMSG;
        r->size = n - r->n_chunks * AGE_TAG_SIZE;

        k = fetch(r, r->n_chunks - 1, 1);
        if (k < 0)
                return k;
        return open_kept(r, r->n_chunks - 1, r->sealed);
}

int age_reader_new(AgeReadAt read_at, void *userdata, uint64_t size, const AgeKeys *keys, AgeReader **ret) {
        _cleanup_(age_reader_freep) AgeReader *r = NULL;
        int k;

        assert(read_at);
        assert(keys);
        assert(ret);

        if (size > INT64_MAX)
                return -EBADMSG;
        r = new0(AgeReader, 1);
        if (!r)
                return -ENOMEM;
        r->read_at = read_at;
        r->userdata = userdata;
        r->plain_index = NO_CHUNK;
        r->plain = malloc(AGE_CHUNK_SIZE);
        if (!r->plain)
                return -ENOMEM;
        k = open_header(r, size, keys);
        if (k < 0)
                return k;
        k = open_payload(r, size);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

/* Copies what of the kept chunk is at offset. */
static size_t copy_kept(const AgeReader *r, uint64_t offset, uint8_t *buf, size_t n) {
        size_t from = (size_t) (offset % AGE_CHUNK_SIZE);
        size_t k = MIN(n, sealed_size(r, r->plain_index) - AGE_TAG_SIZE - from);

        memcpy(buf, r->plain + from, k);
        return k;
}

/* Reads a batch of chunks that begins with the one at offset, which is not kept; gives the bytes done. */
static ssize_t read_batch(AgeReader *r, uint64_t offset, uint8_t *buf, size_t n) {
        uint64_t first = offset / AGE_CHUNK_SIZE, last = (offset + n - 1) / AGE_CHUNK_SIZE;
        size_t count = (size_t) MIN(last - first + 1, (uint64_t) BATCH_CHUNKS), done = 0;
        int k;

        assert(r);

        k = fetch(r, first, count);
        if (k < 0)
                return k;
        for (size_t i = 0; i < count; i++) {
                const uint8_t *sealed = r->sealed + i * AGE_SEALED_CHUNK_SIZE;
                size_t plain = sealed_size(r, first + i) - AGE_TAG_SIZE;

                if ((offset + done) % AGE_CHUNK_SIZE == 0 && n - done >= plain) {
                        k = age_chunk_open(r->cipher, first + i, first + i + 1 == r->n_chunks, sealed,
                                           plain + AGE_TAG_SIZE, buf + done);
                        if (k < 0)
                                return k;
                        done += plain;
                        continue;
                }
                k = open_kept(r, first + i, sealed);
                if (k < 0)
                        return k;
                done += copy_kept(r, offset + done, buf + done, n - done);
        }
        return (ssize_t) done;
}

ssize_t age_reader_pread(AgeReader *r, uint64_t offset, void *buf, size_t n) {
        size_t done = 0;

        assert(r);
        assert(buf || n == 0);

        if (offset >= r->size)
                return 0;
        n = (size_t) MIN((uint64_t) MIN(n, (size_t) SSIZE_MAX), r->size - offset);
        while (done < n) {
                uint64_t at = offset + done;
                ssize_t k;

                if (r->plain_index == at / AGE_CHUNK_SIZE)
                        k = (ssize_t) copy_kept(r, at, (uint8_t *) buf + done, n - done);
                else
                        k = read_batch(r, at, (uint8_t *) buf + done, n - done);
                if (k < 0)
                        return k;
                done += (size_t) k;
        }
        return (ssize_t) done;
}
