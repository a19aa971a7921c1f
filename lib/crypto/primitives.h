#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the age format is built of: X25519, HKDF-SHA-256, scrypt and ChaCha20-Poly1305. For files of
 * lib/crypto and lib/repository. */

#include "base/macros.h"

#define X25519_SIZE 32
#define AEAD_KEY_SIZE 32
#define AEAD_NONCE_SIZE 12
#define AEAD_TAG_SIZE 16

int x25519_public(const uint8_t secret[static X25519_SIZE], uint8_t ret[static X25519_SIZE]) _warn_unused_;
/* -EBADMSG: the point is of low order, the result would be known to everybody. */
int x25519_shared(const uint8_t secret[static X25519_SIZE], const uint8_t point[static X25519_SIZE],
                  uint8_t ret[static X25519_SIZE]) _warn_unused_;

int hkdf_sha256(const void *key, size_t key_size, const void *salt, size_t salt_size, const char *info,
                uint8_t ret[static AEAD_KEY_SIZE]) _warn_unused_;

/* r = 8 and p = 1, as age has it. Takes 2^(work_factor + 10) bytes of memory. */
int scrypt_key(const char *passphrase, const void *salt, size_t salt_size, unsigned work_factor,
               uint8_t ret[static AEAD_KEY_SIZE]) _warn_unused_;

/* The parameters of scrypt (RFC 7914): its memory is 128 * n * r bytes, its time grows with n * r * p. */
typedef struct ScryptCost {
        uint32_t n; /* a power of two above 1 */
        uint32_t r, p;
} ScryptCost;

/* Any parameters: the caller bounds them. -EINVAL: scrypt does not know them. -ENOMEM. */
int scrypt_derive(const void *passphrase, size_t n, const void *salt, size_t salt_size,
                  const ScryptCost *cost, void *ret, size_t ret_size) _warn_unused_;

/* One key in one direction, set up once for many messages. */
typedef struct Aead Aead;

typedef enum AeadDirection {
        AEAD_OPEN,
        AEAD_SEAL,
} AeadDirection;

int aead_new(AeadDirection direction, const uint8_t key[static AEAD_KEY_SIZE], Aead **ret) _warn_unused_;
Aead *aead_free(Aead *a);
/* Writes n + AEAD_TAG_SIZE bytes. */
int aead_seal(Aead *a, const uint8_t nonce[static AEAD_NONCE_SIZE], const void *plain, size_t n,
              uint8_t *out) _warn_unused_;
/* Takes n + AEAD_TAG_SIZE bytes, writes n. -EBADMSG: not authentic; out then holds nothing of the
 * message. */
int aead_open(Aead *a, const uint8_t nonce[static AEAD_NONCE_SIZE], const uint8_t *sealed, size_t n,
              void *out) _warn_unused_;

DEFINE_CLEANUP(Aead *, aead_free);
