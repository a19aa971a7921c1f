#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The object that a piece becomes, or its volumes one behind the other. Before it is sealed it is a sequence
 * of zstd frames, so that stock 'zstd -d' (behind 'age -d') gives the bytes of the piece; what else we want
 * to know is in skippable frames between them:
 *
 *     head     "BXPH", JSON: {"version":1,"ebid":E,"user":U,"name":N,"kind":"pipe|file"}
 *     check    "BXPC", size and plain size of the next frame (u32), SHA-256 of it    } as often as
 *     frame    up to PIECE_FRAME bytes of the piece                                   } needed
 *     end      "BXPE", size of the piece (u64), SHA-256 of it
 *
 * Numbers are little endian. No byte of a frame is given out before its digest was compared, and an object
 * without its end is damaged. */

#include "archive/frames.h"
#include "crypto/age.h"
#include "storage/volumes.h"

/* Small, since each of up to 32 streams has two of them in memory. */
#define PIECE_FRAME (1U << 20)
#define PIECE_HEAD_MAX (64U << 10)

typedef struct PieceHead {
        const char *ebid, *user, *name, *kind;
} PieceHead;

typedef struct PieceSummary {
        uint64_t size;               /* of the piece */
        uint64_t stored_size;        /* of the object, of all its volumes */
        uint8_t sha256[SHA256_SIZE]; /* of the same */
} PieceSummary;

typedef struct PieceWriter PieceWriter;
typedef struct PieceReader PieceReader;

/* --- Writing: one piece after the other ------------------------------------------------------------- */

/* Takes the object; what these give below 0 is forwarded. */
typedef struct PieceWriterCalls {
        int (*data)(void *userdata, const void *p, size_t n);
        /* What follows is in the next volume; the digest is of the one that ends here. May be NULL without a
         * limit. */
        int (*next)(void *userdata, const uint8_t sha256[static SHA256_SIZE]);
} PieceWriterCalls;

/* level: of zstd; 0: as fast as it goes. Recipients stay the caller's. volume_max: as of
 * storage_object_max(). */
int piece_writer_new(int level, const AgeRecipient *recipients, size_t n_recipients, uint64_t volume_max,
                     PieceWriter **ret) _warn_unused_;
PieceWriter *piece_writer_free(PieceWriter *w);
/* -EFBIG, then or later: more volumes than there may be. */
int piece_writer_begin(PieceWriter *w, const PieceHead *head, const PieceWriterCalls *calls,
                       void *userdata) _warn_unused_;
/* Room for bytes of the piece, never none. */
int piece_writer_space(PieceWriter *w, void **ret, size_t *ret_n) _warn_unused_;
int piece_writer_advance(PieceWriter *w, size_t n) _warn_unused_;
int piece_writer_finish(PieceWriter *w, PieceSummary *ret) _warn_unused_;
/* Behind piece_writer_finish(): the last volume. */
const Volume *piece_writer_last(const PieceWriter *w);

/* --- Reading ---------------------------------------------------------------------------------------- */

typedef struct PieceReaderCalls {
        /* Once, before the first bytes. The strings live as long as the call. */
        int (*head)(void *userdata, const PieceHead *head);
        int (*data)(void *userdata, const void *p, size_t n);
} PieceReaderCalls;

/* keys NULL: not sealed; else they stay valid as long as the reader. -EBADMSG from write or finish: it is
 * not what was written, or not all of it; -ENOKEY: none of the keys opens it. What a call gives below 0 is
 * forwarded. */
int piece_reader_new(const AgeKeys *keys, const PieceReaderCalls *calls, void *userdata,
                     PieceReader **ret) _warn_unused_;
PieceReader *piece_reader_free(PieceReader *r);
int piece_reader_write(PieceReader *r, const void *p, size_t n) _warn_unused_;
int piece_reader_finish(PieceReader *r, PieceSummary *ret) _warn_unused_;

DEFINE_CLEANUP(PieceWriter *, piece_writer_free);
DEFINE_CLEANUP(PieceReader *, piece_reader_free);
