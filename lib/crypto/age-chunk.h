#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The chunks of an age payload. For files of lib/crypto. */

#include "crypto/age.h"
#include "crypto/primitives.h"

/* The cipher of the payload that begins with this nonce. */
int age_payload_cipher(AeadDirection direction, const uint8_t file_key[static AGE_FILE_KEY_SIZE],
                       const uint8_t nonce[static AGE_NONCE_SIZE], Aead **ret) _warn_unused_;

/* n plain bytes, at most AGE_CHUNK_SIZE; out has room for the tag too. */
int age_chunk_seal(Aead *cipher, uint64_t index, bool last, const void *plain, size_t n,
                   uint8_t *out) _warn_unused_;
/* n bytes with the tag; out has room for n - AGE_TAG_SIZE. -EBADMSG. */
int age_chunk_open(Aead *cipher, uint64_t index, bool last, const uint8_t *sealed, size_t n,
                   void *out) _warn_unused_;
