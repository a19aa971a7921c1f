/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "crypto/primitives.h"

struct Aead {
        EVP_CIPHER_CTX *context;
};

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free);
DEFINE_CLEANUP(EVP_KDF *, EVP_KDF_free);
DEFINE_CLEANUP(EVP_KDF_CTX *, EVP_KDF_CTX_free);

int x25519_public(const uint8_t secret[static X25519_SIZE], uint8_t ret[static X25519_SIZE]) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
        size_t n = X25519_SIZE;

        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, X25519_SIZE);
        if (!key || EVP_PKEY_get_raw_public_key(key, ret, &n) != 1 || n != X25519_SIZE)
                return -EIO;
        return 0;
}

int x25519_shared(const uint8_t secret[static X25519_SIZE], const uint8_t point[static X25519_SIZE],
                  uint8_t ret[static X25519_SIZE]) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *ours = NULL, *theirs = NULL;
        _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = NULL;
        size_t n = X25519_SIZE;

        ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, X25519_SIZE);
        theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, X25519_SIZE);
        if (!ours || !theirs)
                return -EIO;
        context = EVP_PKEY_CTX_new(ours, NULL);
        if (!context || EVP_PKEY_derive_init(context) != 1 ||
            EVP_PKEY_derive_set_peer_ex(context, theirs, /* validate_peer= */ 0) != 1)
                return -EIO;
        if (EVP_PKEY_derive(context, ret, &n) != 1 || n != X25519_SIZE)
                return -EBADMSG;
        return 0;
}

int hkdf_sha256(const void *key, size_t key_size, const void *salt, size_t salt_size, const char *info,
                uint8_t ret[static AEAD_KEY_SIZE]) {
        _cleanup_(EVP_KDF_freep) EVP_KDF *kdf = NULL;
        _cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *context = NULL;
        OSSL_PARAM parameters[5], *p = parameters;

        assert(key);
        assert(salt || salt_size == 0);
        assert(info);

        kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
        if (!kdf)
                return -EIO;
        context = EVP_KDF_CTX_new(kdf);
        if (!context)
                return -ENOMEM;
        *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *) "SHA256", 0);
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *) key, key_size);
        if (salt_size > 0)
                *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *) salt, salt_size);
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *) info, strlen(info));
        *p = OSSL_PARAM_construct_end();
        return EVP_KDF_derive(context, ret, AEAD_KEY_SIZE, parameters) == 1 ? 0 : -EIO;
}

int scrypt_key(const char *passphrase, const void *salt, size_t salt_size, unsigned work_factor,
               uint8_t ret[static AEAD_KEY_SIZE]) {
        uint64_t n = UINT64_C(1) << work_factor;

        assert(passphrase);
        assert(salt);
        assert(work_factor > 0 && work_factor < 32);

        /* Its memory is 128 * r * (n + p + 2) bytes. */
        if (EVP_PBE_scrypt(passphrase, strlen(passphrase), salt, salt_size, n, 8, 1,
                           UINT64_C(1024) * (n + 3), ret, AEAD_KEY_SIZE) != 1)
                return -ENOMEM;
        return 0;
}

int scrypt_derive(const void *passphrase, size_t n, const void *salt, size_t salt_size,
                  const ScryptCost *cost, void *ret, size_t ret_size) {
        assert(passphrase || n == 0);
        assert(salt);
        assert(cost);
        assert(ret);

        if (cost->n < 2 || (cost->n & (cost->n - 1)) != 0 || cost->r == 0 || cost->p == 0)
                return -EINVAL;
        /* 128 r (n + p + 2) bytes. */
        if (EVP_PBE_scrypt(passphrase, n, salt, salt_size, cost->n, cost->r, cost->p,
                           UINT64_C(128) * cost->r * ((uint64_t) cost->n + cost->p + 2), ret, ret_size) != 1)
                return -ENOMEM;
        return 0;
}

Aead *aead_free(Aead *a) {
        if (!a)
                return NULL;
        EVP_CIPHER_CTX_free(a->context); /* wipes the key */
        return mfree(a);
}

int aead_new(AeadDirection direction, const uint8_t key[static AEAD_KEY_SIZE], Aead **ret) {
        _cleanup_(aead_freep) Aead *a = NULL;

        assert(ret);

        a = new0(Aead, 1);
        if (!a)
                return -ENOMEM;
        a->context = EVP_CIPHER_CTX_new();
        if (!a->context)
                return -ENOMEM;
        if (EVP_CipherInit_ex(a->context, EVP_chacha20_poly1305(), NULL, key, NULL,
                              direction == AEAD_SEAL) != 1)
                return -EIO;
        *ret = TAKE_PTR(a);
        return 0;
}

int aead_seal(Aead *a, const uint8_t nonce[static AEAD_NONCE_SIZE], const void *plain, size_t n,
              uint8_t *out) {
        int written = 0, rest = 0;

        assert(a);
        assert(plain || n == 0);
        assert(n <= INT32_MAX);
        assert(out);

        if (EVP_CipherInit_ex(a->context, NULL, NULL, NULL, nonce, /* enc= */ -1) != 1 ||
            (n > 0 && EVP_CipherUpdate(a->context, out, &written, plain, (int) n) != 1) ||
            EVP_CipherFinal_ex(a->context, out + written, &rest) != 1 ||
            EVP_CIPHER_CTX_ctrl(a->context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + n) != 1)
                return -EIO;
        assert((size_t) written + (size_t) rest == n);
        return 0;
}

int aead_open(Aead *a, const uint8_t nonce[static AEAD_NONCE_SIZE], const uint8_t *sealed, size_t n,
              void *out) {
        uint8_t tag[AEAD_TAG_SIZE];
        int written = 0, rest = 0;

        assert(a);
        assert(sealed);
        assert(n <= INT32_MAX);
        assert(out || n == 0);

        memcpy(tag, sealed + n, AEAD_TAG_SIZE);
        if (EVP_CipherInit_ex(a->context, NULL, NULL, NULL, nonce, /* enc= */ -1) != 1 ||
            EVP_CIPHER_CTX_ctrl(a->context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag) != 1 ||
            (n > 0 && EVP_CipherUpdate(a->context, out, &written, sealed, (int) n) != 1))
                return -EIO;
        if (EVP_CipherFinal_ex(a->context, (uint8_t *) out + written, &rest) != 1) {
                if (n > 0)
                        memset(out, 0, n);
                return -EBADMSG;
        }
        return 0;
}
