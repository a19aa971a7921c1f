#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* AES-256 in counter mode with Poly1305-AES over what it gives (D. J. Bernstein, "The Poly1305-AES
 * message-authentication code", 2005), laid out as IV ‖ ciphertext ‖ MAC: how repositories seal everything
 * they hold. The IV is random, 16 bytes, and is the nonce of the MAC as well. */

#include "base/macros.h"

#define CIPHER_IV_SIZE 16
#define CIPHER_MAC_SIZE 16
#define CIPHER_OVERHEAD (CIPHER_IV_SIZE + CIPHER_MAC_SIZE)
/* What one call takes: OpenSSL counts in int. */
#define CIPHER_SIZE_MAX ((size_t) 1 << 30)

typedef struct CipherKey {
        uint8_t encrypt[32]; /* AES-256 */
        uint8_t mac_k[16];   /* AES-128, makes the one-time pad of the MAC from the nonce */
        uint8_t mac_r[16];   /* of Poly1305, which clears the bits that it does not use */
} CipherKey;

/* A key that is set up once for many messages; used by one thread at a time. */
typedef struct Cipher Cipher;

int cipher_new(const CipherKey *key, Cipher **ret) _warn_unused_;
Cipher *cipher_free(Cipher *c);

/* Writes n + CIPHER_OVERHEAD bytes. plain may lie in out, at CIPHER_IV_SIZE, and nowhere else in it. */
int cipher_seal(Cipher *c, const void *plain, size_t n, uint8_t *out) _warn_unused_;
/* Takes n bytes, CIPHER_OVERHEAD of them around the message, and writes the rest. out may lie in sealed, at
 * CIPHER_IV_SIZE. -EBADMSG: not authentic; out is untouched. */
int cipher_open(Cipher *c, const uint8_t *sealed, size_t n, void *out) _warn_unused_;

DEFINE_CLEANUP(Cipher *, cipher_free);
