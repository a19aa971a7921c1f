/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "crypto/digest.h"

struct Sha256 {
        EVP_MD_CTX *context;
        EVP_MD_CTX *copy; /* for the digest so far */
};

Sha256 *sha256_free(Sha256 *h) {
        if (!h)
                return NULL;
        EVP_MD_CTX_free(h->context);
        EVP_MD_CTX_free(h->copy);
        return mfree(h);
}

int sha256_new(Sha256 **ret) {
        _cleanup_(sha256_freep) Sha256 *h = NULL;

        assert(ret);

        h = new0(Sha256, 1);
        if (!h)
                return -ENOMEM;
        h->context = EVP_MD_CTX_new();
        h->copy = EVP_MD_CTX_new();
        if (!h->context || !h->copy)
                return -ENOMEM;
        if (EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1)
                return -EIO;
        *ret = TAKE_PTR(h);
        return 0;
}

int sha256_add(Sha256 *h, const void *p, size_t n) {
        assert(h);
        assert(p || n == 0);

        return EVP_DigestUpdate(h->context, p, n) == 1 ? 0 : -EIO;
}

int sha256_finish(Sha256 *h, uint8_t ret[static SHA256_SIZE]) {
        assert(h);

        if (EVP_DigestFinal_ex(h->context, ret, NULL) != 1 ||
            EVP_DigestInit_ex(h->context, NULL, NULL) != 1)
                return -EIO;
        return 0;
}

int sha256_peek(const Sha256 *h, uint8_t ret[static SHA256_SIZE]) {
        assert(h);

        if (EVP_MD_CTX_copy_ex(h->copy, h->context) != 1 || EVP_DigestFinal_ex(h->copy, ret, NULL) != 1)
                return -EIO;
        return 0;
}

int sha256(const void *p, size_t n, uint8_t ret[static SHA256_SIZE]) {
        assert(p || n == 0);

        return EVP_Digest(p, n, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

int sha256_hex(const void *p, size_t n, char ret[static SHA256_HEX_SIZE]) {
        uint8_t digest[SHA256_SIZE];
        int r;

        r = sha256(p, n, digest);
        if (r < 0)
                return r;
        (void) hex_encode(digest, sizeof(digest), ret);
        return 0;
}

int hmac_sha256(const void *key, size_t key_size, const void *p, size_t n,
                uint8_t ret[static SHA256_SIZE]) {
        unsigned int size = SHA256_SIZE;

        assert(key || key_size == 0);
        assert(p || n == 0);

        if (key_size > INT32_MAX)
                return -EINVAL;
        /* An empty key must not be NULL: that would mean the key of an earlier call. */
        if (!HMAC(EVP_sha256(), key ?: "", (int) key_size, p, n, ret, &size))
                return -EIO;
        return 0;
}

int md5(const void *p, size_t n, uint8_t ret[static MD5_SIZE]) {
        assert(p || n == 0);

        return EVP_Digest(p, n, ret, NULL, EVP_md5(), NULL) == 1 ? 0 : -EIO;
}
