#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A queue of blobs that are read, opened and checked by helper threads while the one who asked for them
 * goes on: one thread adds blobs and marks, another takes them in the same order. Blobs that lie behind each
 * other in a pack are read at once. Memory is bounded: STREAM_BYTES of content, or one blob where that is
 * larger. */

#include "repository/blob.h"

#define STREAM_BYTES ((size_t) 16 << 20)
#define STREAM_THREADS_MAX 16

typedef struct BlobStream BlobStream;

typedef struct BlobStreamItem {
        void *mark; /* as it was added; NULL: a blob */
        PackBlob blob;
        const uint8_t *data; /* valid until the next call; NULL: nothing but zeros, or an error */
        uint32_t size;       /* of the content */
        int error;           /* as blob_reader_get() */
} BlobStreamItem;

/* Repository and index outlive it; the index does not change. */
int blob_stream_new(Repository *r, const RepoIndex *x, unsigned n_threads, BlobStream **ret) _warn_unused_;
/* Both other threads are gone by then. Marks that were not taken are given to mark_free. */
typedef void (*BlobStreamMarkFree)(void *mark);
BlobStream *blob_stream_free(BlobStream *s, BlobStreamMarkFree mark_free);

/* Adding waits for room. -ECANCELED: blob_stream_stop() was called. */
int blob_stream_add(BlobStream *s, const Id *id) _warn_unused_;
int blob_stream_mark(BlobStream *s, void *mark) _warn_unused_;
/* Nothing comes any more; what the taker gets after the last item. */
void blob_stream_end(BlobStream *s, int error);

/* 1: an item; 0 or negative errno: as it ended. */
int blob_stream_next(BlobStream *s, BlobStreamItem *ret) _warn_unused_;
/* The taker wants no more. */
void blob_stream_stop(BlobStream *s);
