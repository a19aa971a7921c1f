/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "crypto/age-chunk.h"

struct AgeDecrypter {
        const AgeKeys *keys;
        AgeSink sink;
        void *userdata;
        Buffer header; /* and the nonce, until the payload begins */
        Aead *cipher;
        uint64_t index; /* of the chunk being filled */
        uint8_t *sealed;
        size_t filled;
        bool ended; /* the last chunk was opened */
        uint8_t *plain;
        int error;
};

AgeDecrypter *age_decrypter_free(AgeDecrypter *d) {
        if (!d)
                return NULL;
        buffer_done(&d->header);
        aead_free(d->cipher);
        if (d->plain)
                explicit_bzero(d->plain, AGE_CHUNK_SIZE);
        free(d->plain);
        free(d->sealed);
        return mfree(d);
}

int age_decrypter_new(const AgeKeys *keys, AgeSink sink, void *userdata, AgeDecrypter **ret) {
        _cleanup_(age_decrypter_freep) AgeDecrypter *d = NULL;

        assert(keys);
        assert(sink);
        assert(ret);

        d = new0(AgeDecrypter, 1);
        if (!d)
                return -ENOMEM;
        d->keys = keys;
        d->sink = sink;
        d->userdata = userdata;
        d->plain = malloc(AGE_CHUNK_SIZE);
        d->sealed = malloc(AGE_SEALED_CHUNK_SIZE);
        if (!d->plain || !d->sealed)
                return -ENOMEM;
        *ret = TAKE_PTR(d);
        return 0;
}

/* A full chunk may be any; a shorter one can only be the last. What is authentic is released, whatever
 * follows it: that is what the format's vectors expect. */
static int open_chunk(AgeDecrypter *d) {
        size_t n = d->filled;
        int r = -EBADMSG;

        if (n == AGE_SEALED_CHUNK_SIZE)
                r = age_chunk_open(d->cipher, d->index, /* last= */ false, d->sealed, n, d->plain);
        if (r == -EBADMSG) {
                r = age_chunk_open(d->cipher, d->index, /* last= */ true, d->sealed, n, d->plain);
                d->ended = r >= 0;
        }
        if (r < 0)
                return r;
        d->index++;
        d->filled = 0;
        return n > AGE_TAG_SIZE ? d->sink(d->userdata, d->plain, n - AGE_TAG_SIZE) : 0;
}

static int take_payload(AgeDecrypter *d, const uint8_t *p, size_t n) {
        assert(d);

        while (n > 0) {
                size_t k = MIN(n, AGE_SEALED_CHUNK_SIZE - d->filled);
                int r = 0;

                if (d->ended)
                        return -EBADMSG; /* something follows the last chunk */
                memcpy(d->sealed + d->filled, p, k);
                d->filled += k;
                p += k;
                n -= k;
                if (d->filled == AGE_SEALED_CHUNK_SIZE)
                        r = open_chunk(d);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Takes bytes until header and nonce are complete; gives how many of p they were. */
static int take_header(AgeDecrypter *d, const uint8_t *p, size_t n, size_t *ret) {
        uint8_t file_key[AGE_FILE_KEY_SIZE];
        CLEANUP_ERASE(file_key);
        size_t before = d->header.size, length, k;
        int r;

        k = MIN(n, AGE_HEADER_MAX + AGE_NONCE_SIZE - before);
        r = buffer_add(&d->header, p, k);
        if (r < 0)
                return r;
        r = age_header_length(d->header.data, d->header.size, &length);
        if (r == -EAGAIN || (r >= 0 && d->header.size < length + AGE_NONCE_SIZE)) {
                *ret = k;
                return 0;
        }
        if (r < 0)
                return r;
        r = age_header_unwrap(d->header.data, length, d->keys, file_key);
        if (r < 0)
                return r;
        r = age_payload_cipher(AEAD_OPEN, file_key, (const uint8_t *) d->header.data + length, &d->cipher);
        if (r < 0)
                return r;
        *ret = length + AGE_NONCE_SIZE - before;
        return 0;
}

static int take_bytes(AgeDecrypter *d, const uint8_t *p, size_t n) {
        assert(d);

        if (!d->cipher && n > 0) {
                size_t used;
                int r;

                r = take_header(d, p, n, &used);
                if (r < 0)
                        return r;
                p += used;
                n -= used;
        }
        return take_payload(d, p, n);
}

int age_decrypter_write(AgeDecrypter *d, const void *p, size_t n) {
        assert(d);
        assert(p || n == 0);

        if (d->error >= 0)
                d->error = take_bytes(d, p, n);
        return d->error;
}

int age_decrypter_finish(AgeDecrypter *d) {
        assert(d);

        if (d->error >= 0 && !d->cipher)
                d->error = -EBADMSG;
        else if (d->error >= 0 && !d->ended)
                d->error = open_chunk(d);
        return d->error;
}
