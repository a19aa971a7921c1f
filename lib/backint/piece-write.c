/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "backint/piece-format.h"
#include "base/alloc.h"
#include "wire/json.h"

/* So far down that zstd does not search at all: blocks are copied. */
#define LEVEL_NONE (-10000)

struct PieceWriter {
        const AgeRecipient *recipients; /* weak */
        size_t n_recipients;
        FrameCompressor *compressor;
        char *plain, *packed;
        size_t packed_size; /* of the buffer */
        Sha256 *plain_sha256;
        VolumeList volumes;
        /* Of the piece that is being written. */
        AgeWriter *age;
        const PieceWriterCalls *calls;
        void *userdata;
        size_t filled;
        PieceSummary summary;
};

int piece_writer_new(int level, const AgeRecipient *recipients, size_t n_recipients, uint64_t volume_max,
                     PieceWriter **ret) {
        _cleanup_(piece_writer_freep) PieceWriter *w = NULL;
        int r;

        assert(recipients || n_recipients == 0);
        assert(ret);

        w = new0(PieceWriter, 1);
        if (!w)
                return -ENOMEM;
        w->recipients = recipients;
        w->n_recipients = n_recipients;
        w->packed_size = frame_bound(PIECE_FRAME);
        w->plain = malloc(PIECE_FRAME);
        w->packed = malloc(w->packed_size);
        if (!w->plain || !w->packed)
                return -ENOMEM;
        r = frame_compressor_new(level == 0 ? LEVEL_NONE : level, &w->compressor);
        if (r >= 0)
                r = sha256_new(&w->plain_sha256);
        if (r >= 0)
                r = volume_list_init(&w->volumes, volume_max);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

PieceWriter *piece_writer_free(PieceWriter *w) {
        if (!w)
                return NULL;
        age_writer_free(w->age);
        frame_compressor_free(w->compressor);
        sha256_free(w->plain_sha256);
        volume_list_done(&w->volumes);
        free(w->plain);
        free(w->packed);
        return mfree(w);
}

/* Bytes as they will be in storage. */
static int store(void *userdata, const void *p, size_t n) {
        PieceWriter *w = ASSERT_PTR(userdata);
        const char *from = p;
        int r = 0;

        while (n > 0 && r >= 0) {
                size_t room = volume_list_room(&w->volumes, n);
                const Volume *ended;

                if (room == 0) {
                        r = volume_list_next(&w->volumes, &ended);
                        if (r >= 0)
                                r = w->calls->next(w->userdata, ended->sha256);
                        continue;
                }
                r = volume_list_add(&w->volumes, from, room);
                if (r >= 0)
                        r = w->calls->data(w->userdata, from, room);
                from += room;
                n -= room;
        }
        return r;
}

static int put(PieceWriter *w, const void *p, size_t n) {
        return w->age ? age_writer_write(w->age, p, n) : store(w, p, n);
}

static int put_record(PieceWriter *w, const char tag[static PIECE_TAG_SIZE], const void *p, size_t n) {
        uint8_t head[PIECE_RECORD_HEAD];
        int r;

        piece_put_number(head, PIECE_MAGIC, 4);
        piece_put_number(head + 4, PIECE_TAG_SIZE + n, 4);
        memcpy(head + 8, tag, PIECE_TAG_SIZE);
        r = put(w, head, sizeof head);
        return r < 0 ? r : put(w, p, n);
}

static int put_head(PieceWriter *w, const PieceHead *head) {
        _cleanup_json_ json_t *json = json_object();
        _cleanup_(freep) char *text = NULL;
        size_t n;
        int r;

        r = json_set(json, "version", json_integer(1));
        if (r >= 0)
                r = json_set(json, "ebid", json_string(head->ebid));
        if (r >= 0)
                r = json_set(json, "user", json_string(head->user));
        if (r >= 0)
                r = json_set(json, "name", json_string(head->name));
        if (r >= 0)
                r = json_set(json, "kind", json_string(head->kind));
        if (r >= 0)
                r = json_format(json, &text, &n);
        if (r < 0)
                return r;
        if (n > PIECE_HEAD_MAX)
                return -EFBIG;
        return put_record(w, "BXPH", text, n);
}

int piece_writer_begin(PieceWriter *w, const PieceHead *head, const PieceWriterCalls *calls,
                       void *userdata) {
        uint8_t dropped[SHA256_SIZE];
        int r;

        assert(w);
        assert(head);
        assert(calls && calls->data);

        /* What a piece that failed has left. */
        w->age = age_writer_free(w->age);
        r = sha256_finish(w->plain_sha256, dropped);
        if (r >= 0)
                r = volume_list_reset(&w->volumes);
        if (r < 0)
                return r;
        w->calls = calls;
        w->userdata = userdata;
        w->filled = 0;
        w->summary = (PieceSummary){};
        if (w->n_recipients > 0) {
                r = age_writer_new(w->recipients, w->n_recipients, store, w, &w->age);
                if (r < 0)
                        return r;
        }
        return put_head(w, head);
}

/* What was filled becomes a frame. */
static int put_frame(PieceWriter *w) {
        uint8_t check[PIECE_CHECK_SIZE];
        Frame frame;
        int r;

        if (w->filled == 0)
                return 0;
        r = sha256_add(w->plain_sha256, w->plain, w->filled);
        if (r >= 0)
                r = frame_compress(w->compressor, w->plain, w->filled, w->packed, w->packed_size, &frame);
        if (r < 0)
                return r;
        piece_put_number(check, frame.size, 4);
        piece_put_number(check + 4, frame.plain_size, 4);
        memcpy(check + 8, frame.sha256, SHA256_SIZE);
        w->summary.size += w->filled;
        w->filled = 0;
        r = put_record(w, "BXPC", check, sizeof check);
        return r < 0 ? r : put(w, w->packed, frame.size);
}

int piece_writer_space(PieceWriter *w, void **ret, size_t *ret_n) {
        int r;

        assert(w);
        assert(ret);
        assert(ret_n);

        if (w->filled == PIECE_FRAME) {
                r = put_frame(w);
                if (r < 0)
                        return r;
        }
        *ret = w->plain + w->filled;
        *ret_n = PIECE_FRAME - w->filled;
        return 0;
}

int piece_writer_advance(PieceWriter *w, size_t n) {
        assert(w);
        assert(n <= PIECE_FRAME - w->filled);

        w->filled += n;
        return w->filled == PIECE_FRAME ? put_frame(w) : 0;
}

int piece_writer_finish(PieceWriter *w, PieceSummary *ret) {
        uint8_t end[PIECE_END_SIZE];
        int r;

        assert(w);
        assert(ret);

        r = put_frame(w);
        if (r >= 0)
                r = sha256_finish(w->plain_sha256, end + 8);
        if (r < 0)
                return r;
        piece_put_number(end, w->summary.size, 8);
        r = put_record(w, "BXPE", end, sizeof end);
        if (r >= 0 && w->age)
                r = age_writer_finish(w->age);
        if (r >= 0)
                r = volume_list_finish(&w->volumes, w->summary.sha256);
        if (r < 0)
                return r;
        w->summary.stored_size = w->volumes.size;
        *ret = w->summary;
        return 0;
}

const Volume *piece_writer_last(const PieceWriter *w) {
        assert(w && w->volumes.n > 0);

        return &w->volumes.volumes[w->volumes.n - 1];
}
