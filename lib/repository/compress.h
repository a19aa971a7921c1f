#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* zstd as repositories use it. The sizes of what is decompressed are known or bounded before. One context is
 * used by one thread at a time. */

#include <sys/types.h>

#include "base/buffer.h"

typedef struct Compressor Compressor;
typedef struct Decompressor Decompressor;

/* level: of zstd. */
int compressor_new(int level, Compressor **ret) _warn_unused_;
Compressor *compressor_free(Compressor *c);
/* What n bytes may become at most. */
size_t compressor_bound(size_t n);
/* One frame. Writes up to size bytes to out; gives the count. -ENOBUFS: it would be more. */
ssize_t compressor_run(Compressor *c, const void *p, size_t n, void *out, size_t size) _warn_unused_;

/* The same piece by piece, appended to out: any number of adds, then the end of the frame. After an error,
 * or where a frame is not to be ended, compressor_run() or compressor_reset() begins anew. */
int compressor_add(Compressor *c, const void *p, size_t n, Buffer *out) _warn_unused_;
int compressor_end(Compressor *c, Buffer *out) _warn_unused_;
void compressor_reset(Compressor *c);

int decompressor_new(Decompressor **ret) _warn_unused_;
Decompressor *decompressor_free(Decompressor *d);
/* Exactly size bytes come out, or -EBADMSG. */
int decompressor_run(Decompressor *d, const void *p, size_t n, void *out, size_t size) _warn_unused_;
/* Starts to read frames piece by piece; p stays the caller's. */
int decompressor_begin(Decompressor *d, const void *p, size_t n) _warn_unused_;
/* The next bytes, 0 at the end of the last frame. -EBADMSG. */
ssize_t decompressor_read(Decompressor *d, void *buf, size_t n) _warn_unused_;

DEFINE_CLEANUP(Compressor *, compressor_free);
DEFINE_CLEANUP(Decompressor *, decompressor_free);
