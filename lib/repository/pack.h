#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Packs: the files that hold blobs. A pack is its sealed blobs one behind the other, then the sealed header
 * that lists them, then the size of the sealed header, 4 bytes, little-endian. The header has for each blob
 * its type (1 byte), the size of the sealed blob, for compressed ones the size of the plain content (4 bytes
 * each, little-endian), and the id. This is the plain header. */

#include "base/buffer.h"
#include "base/failure.h"
#include "crypto/cipher.h"
#include "repository/id.h"

typedef enum BlobType {
        BLOB_DATA,
        BLOB_TREE,
        _BLOB_TYPE_MAX,
        _BLOB_TYPE_INVALID = -22, /* -EINVAL */
} BlobType;

/* "data", "tree". */
DECLARE_STRING_TABLE(blob_type, BlobType);

/* Where a blob lies in its pack. */
typedef struct PackBlob {
        Id id;
        BlobType type;
        uint32_t offset;
        uint32_t length;              /* sealed: at least CIPHER_OVERHEAD */
        uint32_t uncompressed_length; /* of the plain content; 0: it is stored as it is */
} PackBlob;

#define PACK_TRAILER_SIZE 4 /* the size of the sealed header */
/* Sealed; 430,000 blobs. restic refuses more. */
#define PACK_HEADER_SIZE_MAX (16U << 20)
/* restic writes up to 128 MiB and blobs of up to 8 MiB, but trees have no limit. */
#define PACK_SIZE_MAX (UINT64_C(1) << 32)
#define BLOB_LENGTH_MAX (1U << 30)

/* The size of a blob's content: what there is to allocate. */
static inline uint32_t pack_blob_plain_length(const PackBlob *b) {
        return b->uncompressed_length > 0 ? b->uncompressed_length : b->length - (uint32_t) CIPHER_OVERHEAD;
}

/* Bytes of the plain header that lists n blobs, at most. */
size_t pack_header_size_max(size_t n);
/* Appends one blob's line to a plain header. Blobs are listed in the order of their offsets. */
int pack_header_add(Buffer *header, const PackBlob *b) _warn_unused_;

/* Reads a plain header; the blobs have to fill [0, blobs_end) exactly. Allocates. -EBADMSG with
 * PACK_DAMAGED. */
int pack_header_parse(const void *plain, size_t n, uint64_t blobs_end, PackBlob **ret, size_t *ret_n,
                      Failure *reterr_failure) _warn_unused_;

/* The last bytes of a pack: the size of the sealed header, which has to fit into a pack of this size.
 * -EBADMSG. */
int pack_trailer_parse(const uint8_t trailer[static PACK_TRAILER_SIZE], uint64_t pack_size,
                       uint32_t *ret_header_size) _warn_unused_;
void pack_trailer_format(uint32_t header_size, uint8_t ret[static PACK_TRAILER_SIZE]);
