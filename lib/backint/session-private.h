#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The functions of a call. For the files of this folder. */

#include "backint/session.h"
#include "storage/volumes.h"

/* What one thread keeps from request to request. */
typedef struct BackintWorker {
        const BackintSession *session;
        struct BackintRun *run; /* weak */
        PieceWriter *writer;    /* backup */
        char *buffer;           /* restore: of buffer_size */
        size_t buffer_size;
        bool *answered; /* of the request that it works on */
} BackintWorker;

/* A piece in the storage. */
typedef struct BackintPiece {
        char *name, *ebid, *key;
        bool sealed;
        Volumes volumes;
} BackintPiece;

#define BACKINT_PIECE_NULL ((BackintPiece){})

void backint_piece_done(BackintPiece *p);

typedef struct BackintPieces {
        BackintPiece *pieces;
        size_t n, allocated;
} BackintPieces;

void backint_pieces_done(BackintPieces *p);

/* The piece of an EBID and a name, from the storage. -ENOENT. */
int backint_piece_find(const BackintSession *s, const char *ebid, const char *name, BackintPiece *ret,
                       Failure *reterr_failure) _warn_unused_;
/* Removes what a removal that was cut off has left of a piece that is not there any more. Gives how many
 * objects these were. */
int backint_piece_remove_rest(const BackintSession *s, const char *ebid, const char *name,
                              Failure *reterr_failure) _warn_unused_;
/* All pieces, or those of a name and of an EBID where these are not NULL; the newest first. */
int backint_pieces_list(const BackintSession *s, const char *ebid, const char *name, BackintPieces *ret,
                        Failure *reterr_failure) _warn_unused_;

/* Each answers one request. */
void backint_backup(BackintWorker *w, const BackintRequest *request);
void backint_restore(BackintWorker *w, const BackintRequest *request);
void backint_inquire(BackintWorker *w, const BackintRequest *request, unsigned version);
void backint_delete(BackintWorker *w, const BackintRequest *request);

/* Answers with an error, the words of the request, and why. */
void backint_answer_error(const BackintWorker *w, const BackintRequest *request, int error,
                          const Failure *why);
/* Answers with #NOTFOUND and the words of the request. */
void backint_answer_missing(const BackintWorker *w, const BackintRequest *request);
