#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One blob on its way into packs: compressed once, sealed for each repository that wants it, and what was
 * sealed opened again and compared with the original before anybody relies on it. One thread's own. */

#include "base/failure.h"
#include "crypto/cipher.h"
#include "repository/pack.h"

typedef struct Sealer Sealer;

/* level: of zstd; verify: whether to look at what was sealed. */
int sealer_new(const CipherKey *const *keys, size_t n_keys, int level, bool verify,
               Sealer **ret) _warn_unused_;
Sealer *sealer_free(Sealer *s);

/* Takes the plain content of a blob, which stays where it is until the next one. compress: whether any
 * repository can hold it compressed. */
int sealer_load(Sealer *s, const void *plain, size_t n, bool compress) _warn_unused_;
/* Takes one that is compressed: id is that of its n plain bytes, and packed stays where it is, as above, but
 * is written to. It can only be sealed compressed. */
int sealer_load_packed(Sealer *s, const Id *id, size_t n, uint8_t *packed, size_t size) _warn_unused_;
/* The sizes that this blob will have in a pack; sets length and uncompressed_length. */
void sealer_measure(const Sealer *s, bool compressed, PackBlob *b);
/* Writes the b->length bytes of it, for the key of this number. -EBADMSG: what came out is not what went in;
 * memory or processor of this machine are at fault. */
int sealer_seal(Sealer *s, size_t key, const PackBlob *b, uint8_t *out) _warn_unused_;

DEFINE_CLEANUP(Sealer *, sealer_free);
