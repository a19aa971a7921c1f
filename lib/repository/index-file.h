#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The JSON of an index file, which says what blobs are in which packs. Read and written piece by piece: an
 * index may be far larger than what we hold in memory. */

#include "base/buffer.h"
#include "repository/json-pull.h"
#include "repository/pack.h"

/* What a reader is told, in the order of the file; each gives 0 to go on, or negative errno. Any may be
 * NULL. */
typedef struct IndexSink {
        /* A blob of the pack whose end comes next. */
        int (*blob)(void *userdata, const PackBlob *b);
        /* The pack that the blobs since the last call lie in. */
        int (*pack)(void *userdata, const Id *id);
        /* An index file that this one replaces. */
        int (*supersedes)(void *userdata, const Id *id);
} IndexSink;

/* Reads a whole file. The list of packs alone, which repositories of restic before 0.2 have, is taken as
 * well. Fields that we do not know are read over. -EBADMSG with INDEX_DAMAGED and the place. */
int index_file_read(JsonPullRead read, void *source, const IndexSink *sink, void *userdata,
                    Failure *reterr_failure) _warn_unused_;

/* Writes to a buffer that the caller may empty between any two calls. */
typedef struct IndexFileWriter {
        Buffer *out; /* weak */
        size_t n_packs;
} IndexFileWriter;

/* supersedes: n ids, may be none. */
int index_file_begin(IndexFileWriter *w, Buffer *out, const Id *supersedes, size_t n) _warn_unused_;
int index_file_add(IndexFileWriter *w, const Id *pack, const PackBlob *blobs, size_t n) _warn_unused_;
int index_file_end(IndexFileWriter *w) _warn_unused_;
