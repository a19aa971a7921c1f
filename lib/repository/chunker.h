#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where files are cut into chunks: by their content, so that the same content gives the same chunks wherever
 * it stands. Both kinds cut after the first byte, from CHUNK_MIN on, whose last 64 bytes have a certain
 * fingerprint, and at CHUNK_MAX; a cut depends on nothing but the bytes of its chunk.
 *
 * GEAR is ours: h = 2h + table[byte], cut where the highest 19 bits of h are zero, so every 1 MiB on the
 * average; the table is secret, derived from the polynomial of the repository. RABIN is restic's: the bytes
 * as a polynomial modulo that of the repository, cut where the lowest 20 bits are zero. */

#include "base/macros.h"

#define CHUNK_MIN ((size_t) 512 << 10)
#define CHUNK_MAX ((size_t) 8 << 20)

typedef enum ChunkerKind {
        CHUNKER_RABIN,
        CHUNKER_GEAR,
        _CHUNKER_KIND_MAX,
        _CHUNKER_KIND_INVALID = -22, /* -EINVAL */
} ChunkerKind;

/* "rabin", "gear". */
DECLARE_STRING_TABLE(chunker_kind, ChunkerKind);

/* Only tables: may be used by several threads at once. */
typedef struct Chunker Chunker;

/* -EINVAL: the polynomial is not irreducible, or not of degree 53. */
int chunker_new(ChunkerKind kind, uint64_t polynomial, Chunker **ret) _warn_unused_;
Chunker *chunker_free(Chunker *c);

/* The length of the chunk that begins at p, when it ends within the n bytes there; 0: more are needed. The
 * first n_seen of them gave 0 before, and are not looked at again. What is left at the end of a file is its
 * last chunk. */
size_t chunker_cut(const Chunker *c, const uint8_t *p, size_t n_seen, size_t n);

/* The length of the chunks that a long run of zeros is cut into. */
size_t chunker_zeros(const Chunker *c);

DEFINE_CLEANUP(Chunker *, chunker_free);
