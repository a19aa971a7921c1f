/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backint/parent.h"
#include "backint/piece-name.h"
#include "backint/pipe.h"
#include "backint/session-private.h"
#include "base/alloc.h"
#include "crypto/random.h"

typedef struct Saving {
        const BackintWorker *worker;
        const BackintRequest *request;
        char ebid[BACKINT_EBID_MAX];
        usec_t time;
        char *key;
        BackintEnd source;
        VolumesPut *put;
        PieceSummary summary;
        Failure *failure;
} Saving;

static void saving_done(Saving *s) {
        backint_end_done(&s->source);
        volumes_put_free(s->put);
        free(s->key);
}

static int prepare(Saving *s) {
        const BackintSession *session = s->worker->session;
        uint8_t random[8];
        int r;

        r = random_bytes(random, sizeof random);
        if (r < 0)
                return r;
        s->time = now_usec(CLOCK_REALTIME);
        (void) backint_ebid_make(s->ebid, s->time, random);
        r = backint_key_make(session->parameters->key_prefix, session->user, s->request->name, s->ebid,
                             session->n_recipients > 0, &s->key);
        if (r == -EINVAL)
                return failure_set(s->failure, r, "BACKINT_NAME",
                                   "'%s' cannot be a name in the storage: no absolute path, or too long",
                                   s->request->name);
        return r;
}

static int to_storage(void *userdata, const void *p, size_t n) {
        Saving *s = ASSERT_PTR(userdata);

        return volumes_put_write(s->put, p, n, s->failure);
}

static int to_next_volume(void *userdata, const uint8_t sha256[static SHA256_SIZE]) {
        Saving *s = ASSERT_PTR(userdata);

        return volumes_put_next(s->put, sha256, s->failure);
}

/* What the storage did not say itself. */
static int explain(const Saving *s, int error) {
        if (error != -EFBIG)
                return error;
        return failure_set(s->failure, error, "STORAGE_TOO_LARGE",
                           "%s has more than %d volumes of %" PRIu64 " MiB: raise part_size, block_size or "
                           "volume_size among the settings of the storage",
                           s->request->name, VOLUMES_MAX,
                           storage_object_max(s->worker->session->storage) / VOLUME_UNIT);
}

static int copy(Saving *s) {
        for (;;) {
                void *space;
                size_t room;
                ssize_t n;
                int r;

                r = piece_writer_space(s->worker->writer, &space, &room);
                if (r < 0)
                        return r;
                n = backint_end_read(&s->source, space, room, s->failure);
                if (n <= 0)
                        return (int) n;
                r = piece_writer_advance(s->worker->writer, (size_t) n);
                if (r < 0)
                        return r;
        }
}

/* The end of a pipe says nothing of whether its writer was through, or was killed. Where it was killed, so
 * is who reads our answer. */
static int check_parent(const Saving *s) {
        const BackintSession *session = s->worker->session;

        if (!s->source.is_pipe || session->parent == 0 || backint_parent_lives(session->parent))
                return 0;
        return failure_set(s->failure, -ECANCELED, "BACKINT_PARENT",
                           "The process that asked for %s has ended: what came through the pipe may be cut",
                           s->request->name);
}

static int save(Saving *s) {
        static const PieceWriterCalls calls = { .data = to_storage, .next = to_next_volume };
        const BackintSession *session = s->worker->session;
        const BackintRequest *request = s->request;
        PieceHead head = { .ebid = s->ebid, .user = session->user, .name = request->name };
        int r;

        s->source.stop_fd = session->stop_fd;
        s->source.timeout = session->parameters->pipe_timeout;
        r = backint_end_open_source(&s->source, request->name, request->keyword == BACKINT_PIPE, s->failure);
        if (r < 0)
                return r;
        head.kind = s->source.is_pipe ? "pipe" : "file";
        r = volumes_put_new(session->storage, s->key, &s->put, s->failure);
        if (r >= 0)
                r = piece_writer_begin(s->worker->writer, &head, &calls, s);
        if (r >= 0)
                r = copy(s);
        if (r >= 0)
                r = piece_writer_finish(s->worker->writer, &s->summary);
        if (r >= 0)
                r = check_parent(s);
        if (r >= 0)
                r = volumes_put_commit(s->put, piece_writer_last(s->worker->writer)->sha256, s->failure);
        return explain(s, r);
}

/* The piece is saved, whatever becomes of this. */
static int remember(const Saving *s, Failure *reterr_failure) {
        const BackintSession *session = s->worker->session;
        BackintCatalogRow row = {
                .ebid = s->ebid,
                .user = session->user,
                .name = s->request->name,
                .key = s->key,
                .level = session->level,
                .saved = s->time,
                .summary = s->summary,
        };

        return session->catalog ? backint_catalog_add(session->catalog, &row, reterr_failure) : 0;
}

void backint_backup(BackintWorker *w, const BackintRequest *request) {
        _cleanup_failure_ Failure failure = FAILURE_NULL, forgotten = FAILURE_NULL;
        _cleanup_(saving_done) Saving s = { .worker = w,
                                            .request = request,
                                            .source = BACKINT_END_NULL,
                                            .failure = &failure };
        char size[24];
        int r, k;

        assert(w);
        assert(request);

        r = prepare(&s);
        if (r >= 0)
                r = save(&s);
        if (r < 0) {
                backint_answer_error(w, request, r, &failure);
                return;
        }
        k = remember(&s, &forgotten);
        (void) snprintf(size, sizeof size, "%" PRIu64, s.summary.size);
        backint_answers_add(w->session->answers, BACKINT_SAVED,
                            (const char *const[]){ s.ebid, request->name, size, NULL },
                            k < 0 ? failure_message(&forgotten, k) : NULL, w->answered);
}
