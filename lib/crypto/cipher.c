/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/cipher.h"
#include "crypto/random.h"

#define POLY1305_KEY_SIZE 32 /* r ‖ s */

struct Cipher {
        EVP_CIPHER_CTX *stream; /* AES-256-CTR with its key */
        EVP_CIPHER_CTX *block;  /* AES-128 with mac_k */
        EVP_MAC_CTX *mac;
        uint8_t one_time[POLY1305_KEY_SIZE];
};

DEFINE_CLEANUP(EVP_MAC *, EVP_MAC_free);

Cipher *cipher_free(Cipher *c) {
        if (!c)
                return NULL;
        EVP_CIPHER_CTX_free(c->stream); /* these wipe their keys */
        EVP_CIPHER_CTX_free(c->block);
        EVP_MAC_CTX_free(c->mac);
        explicit_bzero(c, sizeof(*c));
        return mfree(c);
}

int cipher_new(const CipherKey *key, Cipher **ret) {
        _cleanup_(EVP_MAC_freep) EVP_MAC *mac = NULL;
        _cleanup_(cipher_freep) Cipher *c = NULL;

        assert(key);
        assert(ret);

        c = new0(Cipher, 1);
        if (!c)
                return -ENOMEM;
        c->stream = EVP_CIPHER_CTX_new();
        c->block = EVP_CIPHER_CTX_new();
        if (!c->stream || !c->block)
                return -ENOMEM;
        mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
        if (!mac)
                return -EIO;
        c->mac = EVP_MAC_CTX_new(mac);
        if (!c->mac)
                return -ENOMEM;
        /* Counter mode is its own reverse. */
        if (EVP_EncryptInit_ex(c->stream, EVP_aes_256_ctr(), NULL, key->encrypt, NULL) != 1 ||
            EVP_EncryptInit_ex(c->block, EVP_aes_128_ecb(), NULL, key->mac_k, NULL) != 1 ||
            EVP_CIPHER_CTX_set_padding(c->block, 0) != 1)
                return -EIO;
        memcpy(c->one_time, key->mac_r, sizeof(key->mac_r));
        *ret = TAKE_PTR(c);
        return 0;
}

/* The MAC of a ciphertext under a nonce. */
static int authenticate(Cipher *c, const uint8_t nonce[static CIPHER_IV_SIZE], const uint8_t *p, size_t n,
                        uint8_t ret[static CIPHER_MAC_SIZE]) {
        size_t size = 0;
        int written = 0;

        assert(c);
        assert(p);

        if (EVP_EncryptUpdate(c->block, c->one_time + POLY1305_KEY_SIZE / 2, &written, nonce,
                              CIPHER_IV_SIZE) != 1 ||
            written != CIPHER_IV_SIZE)
                return -EIO;
        if (EVP_MAC_init(c->mac, c->one_time, sizeof(c->one_time), NULL) != 1 ||
            EVP_MAC_update(c->mac, p, n) != 1 || EVP_MAC_final(c->mac, ret, &size, CIPHER_MAC_SIZE) != 1 ||
            size != CIPHER_MAC_SIZE)
                return -EIO;
        return 0;
}

/* Both directions. */
static int apply(Cipher *c, const uint8_t iv[static CIPHER_IV_SIZE], const void *in, size_t n, void *out) {
        int written = 0;

        assert(c);

        if (EVP_EncryptInit_ex(c->stream, NULL, NULL, NULL, iv) != 1)
                return -EIO;
        if (n > 0 &&
            (EVP_EncryptUpdate(c->stream, out, &written, in, (int) n) != 1 || (size_t) written != n))
                return -EIO;
        return 0;
}

int cipher_seal(Cipher *c, const void *plain, size_t n, uint8_t *out) {
        int r;

        assert(c);
        assert(plain || n == 0);
        assert(n <= CIPHER_SIZE_MAX);
        assert(out);

        r = random_bytes(out, CIPHER_IV_SIZE);
        if (r < 0)
                return r;
        r = apply(c, out, plain, n, out + CIPHER_IV_SIZE);
        if (r < 0)
                return r;
        return authenticate(c, out, out + CIPHER_IV_SIZE, n, out + CIPHER_IV_SIZE + n);
}

int cipher_open(Cipher *c, const uint8_t *sealed, size_t n, void *out) {
        uint8_t mac[CIPHER_MAC_SIZE], iv[CIPHER_IV_SIZE];
        int r;

        assert(c);
        assert(sealed);
        assert(n <= CIPHER_SIZE_MAX);
        assert(out || n <= CIPHER_OVERHEAD);

        if (n < CIPHER_OVERHEAD)
                return -EBADMSG;
        n -= CIPHER_OVERHEAD;
        r = authenticate(c, sealed, sealed + CIPHER_IV_SIZE, n, mac);
        if (r < 0)
                return r;
        if (!equal_constant_time(mac, sealed + CIPHER_IV_SIZE + n, sizeof(mac)))
                return -EBADMSG;
        memcpy(iv, sealed, sizeof(iv));
        return apply(c, iv, sealed + CIPHER_IV_SIZE, n, out);
}
