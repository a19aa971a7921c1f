#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Independent zstd frames with a digest each. An object is a sequence of them, so that stock 'zstd -d'
 * reads it as one stream and we read any one alone. A frame is the unit of trust: it is not decompressed
 * before its digest was compared. */

#include "base/buffer.h"
#include "crypto/digest.h"

/* Input per frame of the data object. Large enough for the ratio of zstd's level 3, small enough that one
 * small file costs one small range read. */
#define FRAME_DATA_MAX (2U << 20)
/* Input per frame of listings: what a look into one directory reads. Lines are kept whole, so a frame may be
 * longer by one line. */
#define FRAME_LIST_SIZE (256U << 10)
/* No reader takes a frame that says it is larger. */
#define FRAME_PLAIN_MAX (8U << 20)

typedef struct Frame {
        uint64_t offset;       /* in the object, before encryption */
        uint64_t plain_offset; /* in the plain stream */
        uint32_t size;
        uint32_t plain_size;
        uint8_t sha256[SHA256_SIZE]; /* of the size compressed bytes */
} Frame;

typedef struct FrameCompressor FrameCompressor;
typedef struct FrameDecompressor FrameDecompressor;

int frame_compressor_new(int level, FrameCompressor **ret) _warn_unused_;
FrameCompressor *frame_compressor_free(FrameCompressor *c);
/* Room that n bytes of input may need. */
size_t frame_bound(size_t n);
/* Compresses into buf of frame_bound(n) bytes; sets ret's sizes and digest, not its offsets. */
int frame_compress(FrameCompressor *c, const void *p, size_t n, void *buf, size_t buf_size,
                   Frame *ret) _warn_unused_;

int frame_decompressor_new(FrameDecompressor **ret) _warn_unused_;
FrameDecompressor *frame_decompressor_free(FrameDecompressor *d);
/* Checks size and digest of the compressed bytes, then decompresses into buf, which has room for
 * f->plain_size. -EBADMSG: not the frame that f describes. */
int frame_decompress(FrameDecompressor *d, const Frame *f, const void *p, void *buf) _warn_unused_;

DEFINE_CLEANUP(FrameCompressor *, frame_compressor_free);
DEFINE_CLEANUP(FrameDecompressor *, frame_decompressor_free);
