#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Reading blobs. A blob is right when it was sealed with our key and its content has the digest it is called
 * by; nothing else comes out. Where a blob lies in several packs, one that is damaged or gone is made up for
 * by another. */

#include "repository/repository.h"

/* Opens single blobs; used by one thread at a time. */
typedef struct BlobDecoder BlobDecoder;

int blob_decoder_new(const CipherKey *key, BlobDecoder **ret) _warn_unused_;
BlobDecoder *blob_decoder_free(BlobDecoder *d);
/* sealed: b->length bytes, decrypted in place. out: pack_blob_plain_length() bytes. -EBADMSG. */
int blob_decode(BlobDecoder *d, const PackBlob *b, uint8_t *sealed, void *out) _warn_unused_;
/* The same where the content is only checked, piece by piece: it may be larger than memory. */
int blob_verify(BlobDecoder *d, const PackBlob *b, uint8_t *sealed) _warn_unused_;

DEFINE_CLEANUP(BlobDecoder *, blob_decoder_free);

/* Reads blobs from packs, some more of the pack than was asked for: what is wanted next mostly lies behind.
 * Used by one thread at a time. */
typedef struct BlobReader BlobReader;

/* Both outlive it; the index may grow between two calls. */
int blob_reader_new(Repository *r, const RepoIndex *x, BlobReader **ret) _warn_unused_;
BlobReader *blob_reader_free(BlobReader *b);
/* Replaces *ret by the content. -ENOENT with BLOB_MISSING: not in the index; -EBADMSG with
 * REPOSITORY_DAMAGED: no place has it; others: of the storage. */
int blob_reader_get(BlobReader *b, BlobType type, const Id *id, Buffer *ret, Failure *reterr_failure)
                _warn_unused_;
/* The same, but content of more than whole bytes stays compressed where it is stored so; ret_packed tells.
 */
int blob_reader_get_packed(BlobReader *b, BlobType type, const Id *id, size_t whole, Buffer *ret,
                           bool *ret_packed, Failure *reterr_failure) _warn_unused_;

/* The sealed bytes of a blob as they lie in a pack, after it was seen that they open and have the digest;
 * the reader's until its next call. Its place of this number is tried first, then all. Errors as above. */
int blob_reader_get_sealed(BlobReader *b, uint32_t first, PackBlob *ret, const uint8_t **ret_sealed,
                           Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(BlobReader *, blob_reader_free);
