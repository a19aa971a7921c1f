#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* SHA-256 and HMAC-SHA-256. Compare results of secrets with equal_constant_time() of base/text.h. */

#include "base/macros.h"

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE (2 * SHA256_SIZE + 1)

typedef struct Sha256 Sha256;

int sha256_new(Sha256 **ret) _warn_unused_;
Sha256 *sha256_free(Sha256 *h);
int sha256_add(Sha256 *h, const void *p, size_t n) _warn_unused_;
/* Gives the digest; h then begins anew. */
int sha256_finish(Sha256 *h, uint8_t ret[static SHA256_SIZE]) _warn_unused_;
/* The digest up to here; h goes on. */
int sha256_peek(const Sha256 *h, uint8_t ret[static SHA256_SIZE]) _warn_unused_;

DEFINE_CLEANUP(Sha256 *, sha256_free);

/* In one step. */
int sha256(const void *p, size_t n, uint8_t ret[static SHA256_SIZE]) _warn_unused_;
/* As lower-case hexadecimal digits with a NUL. */
int sha256_hex(const void *p, size_t n, char ret[static SHA256_HEX_SIZE]) _warn_unused_;

int hmac_sha256(const void *key, size_t key_size, const void *p, size_t n,
                uint8_t ret[static SHA256_SIZE]) _warn_unused_;

/* No protection: a checksum that storage servers ask for. */
#define MD5_SIZE 16
int md5(const void *p, size_t n, uint8_t ret[static MD5_SIZE]) _warn_unused_;
