/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "crypto/age-chunk.h"

#define LABEL_PAYLOAD "payload"

int age_payload_cipher(AeadDirection direction, const uint8_t file_key[static AGE_FILE_KEY_SIZE],
                       const uint8_t nonce[static AGE_NONCE_SIZE], Aead **ret) {
        uint8_t key[AEAD_KEY_SIZE];
        CLEANUP_ERASE(key);
        int r;

        r = hkdf_sha256(file_key, AGE_FILE_KEY_SIZE, nonce, AGE_NONCE_SIZE, LABEL_PAYLOAD, key);
        if (r < 0)
                return r;
        return aead_new(direction, key, ret);
}

/* A counter of 11 bytes, big-endian, and one that says whether this is the last chunk. */
static void chunk_nonce(uint64_t index, bool last, uint8_t ret[static AEAD_NONCE_SIZE]) {
        memset(ret, 0, AEAD_NONCE_SIZE);
        for (size_t i = 0; i < sizeof(index); i++)
                ret[AEAD_NONCE_SIZE - 2 - i] = (uint8_t) (index >> 8 * i);
        ret[AEAD_NONCE_SIZE - 1] = last;
}

int age_chunk_seal(Aead *cipher, uint64_t index, bool last, const void *plain, size_t n, uint8_t *out) {
        uint8_t nonce[AEAD_NONCE_SIZE];

        assert(n <= AGE_CHUNK_SIZE);

        chunk_nonce(index, last, nonce);
        return aead_seal(cipher, nonce, plain, n, out);
}

int age_chunk_open(Aead *cipher, uint64_t index, bool last, const uint8_t *sealed, size_t n, void *out) {
        uint8_t nonce[AEAD_NONCE_SIZE];

        assert(n <= AGE_SEALED_CHUNK_SIZE);

        /* Only the last chunk may be short, and it is empty only where the whole payload is. */
        if (n < AGE_TAG_SIZE || (!last && n != AGE_SEALED_CHUNK_SIZE) ||
            (last && index > 0 && n == AGE_TAG_SIZE))
                return -EBADMSG;
        chunk_nonce(index, last, nonce);
        return aead_open(cipher, nonce, sealed, n - AGE_TAG_SIZE, out);
}
