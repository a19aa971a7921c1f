#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Content of users' files on its way from a node to whoever asked for it: in memory for a moment, never in
 * the store. */

#include "base/times.h"
#include "wire/json.h"

/* Each is the base64 of at most READ_LENGTH_MAX bytes. */
#define PIECES_MAX 8U
/* Nobody came for it. */
#define PIECE_LIFE_USEC (30 * USEC_PER_SEC)

typedef struct Piece {
        uint64_t command_id; /* 0: free */
        json_t *content;
        usec_t added; /* monotonic */
} Piece;

typedef struct Pieces {
        Piece items[PIECES_MAX];
} Pieces;

void pieces_done(Pieces *p);
/* Takes content over; the oldest makes room for it. */
void pieces_keep(Pieces *p, uint64_t command_id, json_t *content, usec_t now);
/* What was kept for the command, for the caller to release; NULL: nothing (any more). */
json_t *pieces_take(Pieces *p, uint64_t command_id, usec_t now);
