/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "backint/piece-name.h"
#include "backint/session-private.h"

/* Versions before this one do not know the time in an answer. */
#define VERSION_WITH_TIME 150U

/* ret_answered: of the last one; else NULL. */
static void answer_found(const BackintSession *s, const BackintPiece *piece, unsigned version,
                         bool *ret_answered) {
        char text[RFC3339_MAX];
        usec_t time;

        /* It was read as one. */
        if (backint_ebid_time(piece->ebid, &time) < 0)
                return;
        backint_answers_add(s->answers, BACKINT_FOUND,
                            (const char *const[]){
                                            piece->ebid, piece->name,
                                            version >= VERSION_WITH_TIME ? format_rfc3339(text, time) : NULL,
                                            NULL },
                            NULL, ret_answered);
}

static int answer_one(const BackintWorker *w, const BackintRequest *request, unsigned version,
                      Failure *reterr_failure) {
        _cleanup_(backint_piece_done) BackintPiece piece = BACKINT_PIECE_NULL;
        int r;

        r = backint_piece_find(w->session, request->ebid, request->name, &piece, reterr_failure);
        if (r >= 0)
                answer_found(w->session, &piece, version, w->answered);
        return r;
}

static int answer_many(const BackintWorker *w, const BackintRequest *request, unsigned version,
                       Failure *reterr_failure) {
        _cleanup_(backint_pieces_done) BackintPieces pieces = {};
        int r;

        r = backint_pieces_list(w->session, request->ebid, request->name, &pieces, reterr_failure);
        for (size_t i = 0; i < pieces.n; i++)
                answer_found(w->session, &pieces.pieces[i], version, i + 1 == pieces.n ? w->answered : NULL);
        return r < 0 ? r : pieces.n == 0 ? -ENOENT :
                                           0;
}

void backint_inquire(BackintWorker *w, const BackintRequest *request, unsigned version) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(w);
        assert(request);

        if (request->ebid && request->name)
                r = answer_one(w, request, version, &failure);
        else
                r = answer_many(w, request, version, &failure);
        if (r == -ENOENT)
                backint_answer_missing(w, request);
        else if (r < 0)
                backint_answer_error(w, request, r, &failure);
}

void backint_delete(BackintWorker *w, const BackintRequest *request) {
        _cleanup_(backint_piece_done) BackintPiece piece = BACKINT_PIECE_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL, forgotten = FAILURE_NULL;
        const BackintSession *s = w->session;
        int r, k = 0;

        assert(request);

        /* Some storages say of what was never there that they removed it. */
        r = backint_piece_find(s, request->ebid, request->name, &piece, &failure);
        if (r >= 0)
                r = volumes_remove(s->storage, piece.key, piece.volumes.n, &failure);
        else if (r == -ENOENT) {
                /* What a call that was ended in the middle of this has left. */
                r = backint_piece_remove_rest(s, request->ebid, request->name, &failure);
                r = r == 0 ? -ENOENT : MIN(r, 0);
        }
        if (r == -ENOENT) {
                backint_answer_missing(w, request);
                return;
        }
        if (r < 0) {
                backint_answer_error(w, request, r, &failure);
                return;
        }
        if (s->catalog)
                k = backint_catalog_remove(s->catalog, request->ebid, &forgotten);
        backint_answers_add(s->answers, BACKINT_DELETED,
                            (const char *const[]){ request->ebid, request->name, NULL },
                            k < 0 ? failure_message(&forgotten, k) :
                                            r > 0 ?
                                    "The storage keeps it as an older version until its own rules end it" :
                                    NULL,
                            w->answered);
}
