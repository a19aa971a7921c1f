/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "backint/pipe.h"
#include "backint/session-private.h"
#include "base/alloc.h"
#include "base/text.h"

typedef struct Restoring {
        const BackintWorker *worker;
        const BackintRequest *request;
        BackintPiece piece;
        BackintEnd destination;
        AgeKeys keys; /* as long as the reader */
        PieceReader *reader;
        Failure *failure;
} Restoring;

static void restoring_done(Restoring *r) {
        piece_reader_free(r->reader);
        backint_end_done(&r->destination);
        backint_piece_done(&r->piece);
}

static int damaged(const Restoring *r, const char *how) {
        return failure_set(r->failure, -EBADMSG, "BACKINT_DAMAGED", "%s on %s %s", r->piece.key,
                           storage_name(r->worker->session->storage), how);
}

/* The head comes before all data. Another object under this key would be somebody else's data. */
static int on_head(void *userdata, const PieceHead *head) {
        Restoring *r = ASSERT_PTR(userdata);
        const BackintRequest *request = r->request;

        if (!streq(head->ebid, r->piece.ebid) || !streq(head->name, r->piece.name) ||
            !streq(head->user, r->worker->session->user))
                return damaged(r, "is another piece than its key says");
        return backint_end_open_destination(&r->destination,
                                            request->destination ? request->destination : request->name,
                                            streq(head->kind, "pipe"), r->failure);
}

static int on_data(void *userdata, const void *p, size_t n) {
        Restoring *r = ASSERT_PTR(userdata);

        return backint_end_write(&r->destination, p, n, r->failure);
}

static int find(Restoring *r) {
        const BackintSession *session = r->worker->session;
        _cleanup_(backint_pieces_done) BackintPieces pieces = {};
        int k;

        if (r->request->keyword == BACKINT_EBID)
                return backint_piece_find(session, r->request->ebid, r->request->name, &r->piece,
                                          r->failure);
        k = backint_pieces_list(session, NULL, r->request->name, &pieces, r->failure);
        if (k < 0)
                return k;
        if (pieces.n == 0)
                return -ENOENT;
        r->piece = pieces.pieces[0];
        pieces.pieces[0] = BACKINT_PIECE_NULL;
        return 0;
}

static int copy(Restoring *r) {
        const BackintSession *session = r->worker->session;
        const Volumes *volumes = &r->piece.volumes;

        if (volumes->uneven)
                return damaged(r, "has volumes that do not belong together");
        for (uint64_t at = 0; at < volumes->size;) {
                size_t want = (size_t) MIN((uint64_t) r->worker->buffer_size, volumes->size - at);
                ssize_t n;
                int k;

                n = volumes_read_at(session->storage, r->piece.key, volumes, at, r->worker->buffer, want,
                                    r->failure);
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        return damaged(r, "became shorter while it was read");
                k = piece_reader_write(r->reader, r->worker->buffer, (size_t) n);
                if (k < 0)
                        return k;
                at += (uint64_t) n;
        }
        return 0;
}

/* What this host wrote, if it still knows. */
static int compare(const Restoring *r, const PieceSummary *read) {
        const BackintSession *session = r->worker->session;
        PieceSummary written;
        int k;

        if (!session->catalog)
                return 0;
        k = backint_catalog_find(session->catalog, r->piece.ebid, &written, r->failure);
        if (k <= 0)
                return k;
        if (written.stored_size != read->stored_size || written.size != read->size ||
            memcmp(written.sha256, read->sha256, SHA256_SIZE) != 0)
                return damaged(r, "is not the object that this host wrote");
        return 0;
}

static int open_reader(Restoring *r) {
        static const PieceReaderCalls calls = { .head = on_head, .data = on_data };
        const BackintSession *session = r->worker->session;

        if (r->piece.sealed && session->n_identities == 0)
                return failure_set(r->failure, -ENOKEY, "BACKINT_SEALED",
                                   "%s is sealed, and the parameter file names no AGE_IDENTITY_FILE",
                                   r->piece.key);
        r->keys = (AgeKeys){ .identities = session->identities, .n_identities = session->n_identities };
        return piece_reader_new(r->piece.sealed ? &r->keys : NULL, &calls, r, &r->reader);
}

static int explain(const Restoring *r, int error) {
        if (error == -ENOKEY)
                return failure_set(r->failure, error, "BACKINT_SEALED",
                                   "%s is sealed to others than the identity of AGE_IDENTITY_FILE",
                                   r->piece.key);
        if (error == -EBADMSG || error == -EKEYREJECTED)
                return damaged(r, "is not what was written: it was changed or cut");
        return error;
}

static int restore(Restoring *r) {
        PieceSummary summary;
        int k;

        r->destination.stop_fd = r->worker->session->stop_fd;
        r->destination.timeout = r->worker->session->parameters->pipe_timeout;
        k = open_reader(r);
        if (k >= 0)
                k = copy(r);
        if (k >= 0)
                k = piece_reader_finish(r->reader, &summary);
        if (k >= 0)
                k = compare(r, &summary);
        if (k >= 0)
                k = backint_end_commit(&r->destination, r->failure);
        return k < 0 ? explain(r, k) : 0;
}

void backint_restore(BackintWorker *w, const BackintRequest *request) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(restoring_done) Restoring r = { .worker = w,
                                                  .request = request,
                                                  .destination = BACKINT_END_NULL,
                                                  .failure = &failure };
        int k;

        assert(w);
        assert(request);

        k = find(&r);
        if (k == -ENOENT) {
                backint_answer_missing(w, request);
                return;
        }
        if (k >= 0)
                k = restore(&r);
        if (k < 0)
                backint_answer_error(w, request, k, &failure);
        else
                backint_answers_add(w->session->answers, BACKINT_RESTORED,
                                    (const char *const[]){ r.piece.ebid, request->name, NULL }, NULL,
                                    w->answered);
}
