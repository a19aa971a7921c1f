/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "backint/piece-format.h"
#include "base/alloc.h"
#include "base/text.h"
#include "wire/json.h"

typedef enum PieceState {
        PIECE_HEAD,  /* the head is due */
        PIECE_CHECK, /* a check or the end is due */
        PIECE_DATA,  /* a frame is due */
        PIECE_END,   /* nothing is due */
} PieceState;

struct PieceReader {
        PieceReaderCalls calls;
        void *userdata;
        AgeDecrypter *age;
        FrameDecompressor *decompressor;
        char *plain;
        Sha256 *plain_sha256, *stored_sha256;
        PieceState state;
        Buffer pending; /* not yet taken */
        Frame frame;    /* that is due */
        PieceSummary summary;
};

PieceReader *piece_reader_free(PieceReader *r) {
        if (!r)
                return NULL;
        age_decrypter_free(r->age);
        frame_decompressor_free(r->decompressor);
        sha256_free(r->plain_sha256);
        sha256_free(r->stored_sha256);
        buffer_done(&r->pending);
        free(r->plain);
        return mfree(r);
}

static int take_head(PieceReader *r, const uint8_t *p, size_t n) {
        _cleanup_failure_ Failure dropped = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        PieceHead head = {};
        JsonReader reader;
        uint64_t version = 0;

        if (json_parse_strict(p, n, JSON_DEPTH_DEFAULT, &json, &dropped) < 0)
                return -EBADMSG;
        (void) json_reader_init(&reader, json, &dropped);
        (void) json_reader_u64(&reader, "version", JSON_REQUIRED, UINT32_MAX, &version);
        (void) json_reader_string(&reader, "ebid", JSON_REQUIRED, PIECE_HEAD_MAX, &head.ebid);
        (void) json_reader_string(&reader, "user", JSON_REQUIRED, PIECE_HEAD_MAX, &head.user);
        (void) json_reader_string(&reader, "name", JSON_REQUIRED, PIECE_HEAD_MAX, &head.name);
        (void) json_reader_string(&reader, "kind", JSON_REQUIRED, PIECE_HEAD_MAX, &head.kind);
        if (reader.error < 0 || version != 1)
                return -EBADMSG;
        r->state = PIECE_CHECK;
        return r->calls.head(r->userdata, &head);
}

static int take_check(PieceReader *r, const uint8_t *p, size_t n) {
        if (n != PIECE_CHECK_SIZE)
                return -EBADMSG;
        r->frame = (Frame){
                .size = (uint32_t) piece_get_number(p, 4),
                .plain_size = (uint32_t) piece_get_number(p + 4, 4),
        };
        memcpy(r->frame.sha256, p + 8, SHA256_SIZE);
        if (r->frame.size == 0 || r->frame.size > frame_bound(PIECE_FRAME) || r->frame.plain_size == 0 ||
            r->frame.plain_size > PIECE_FRAME)
                return -EBADMSG;
        r->state = PIECE_DATA;
        return 0;
}

static int take_end(PieceReader *r, const uint8_t *p, size_t n) {
        uint8_t sha256[SHA256_SIZE];
        int k;

        k = sha256_finish(r->plain_sha256, sha256);
        if (k < 0)
                return k;
        if (n != PIECE_END_SIZE || piece_get_number(p, 8) != r->summary.size ||
            memcmp(p + 8, sha256, sizeof sha256) != 0)
                return -EBADMSG;
        r->state = PIECE_END;
        return 0;
}

/* 1 and the bytes that it was; 0: it is not all there. */
static int take_record(PieceReader *r, const uint8_t *p, size_t n, size_t *ret_used) {
        const uint8_t *content = p + PIECE_RECORD_HEAD;
        size_t size;
        int k;

        if (n < PIECE_RECORD_HEAD)
                return 0;
        size = (size_t) piece_get_number(p + 4, 4);
        if (piece_get_number(p, 4) != PIECE_MAGIC || size < PIECE_TAG_SIZE ||
            size > PIECE_TAG_SIZE + PIECE_HEAD_MAX)
                return -EBADMSG;
        size -= PIECE_TAG_SIZE;
        if (n - PIECE_RECORD_HEAD < size)
                return 0;
        if (r->state == PIECE_HEAD && memcmp(p + 8, "BXPH", PIECE_TAG_SIZE) == 0)
                k = take_head(r, content, size);
        else if (r->state == PIECE_CHECK && memcmp(p + 8, "BXPC", PIECE_TAG_SIZE) == 0)
                k = take_check(r, content, size);
        else if (r->state == PIECE_CHECK && memcmp(p + 8, "BXPE", PIECE_TAG_SIZE) == 0)
                k = take_end(r, content, size);
        else
                k = -EBADMSG;
        *ret_used = PIECE_RECORD_HEAD + size;
        return k < 0 ? k : 1;
}

static int take_frame(PieceReader *r, const uint8_t *p, size_t n, size_t *ret_used) {
        int k;

        if (n < r->frame.size)
                return 0;
        k = frame_decompress(r->decompressor, &r->frame, p, r->plain);
        if (k >= 0)
                k = sha256_add(r->plain_sha256, r->plain, r->frame.plain_size);
        if (k >= 0)
                k = r->calls.data(r->userdata, r->plain, r->frame.plain_size);
        if (k < 0)
                return k;
        r->summary.size += r->frame.plain_size;
        r->state = PIECE_CHECK;
        *ret_used = r->frame.size;
        return 1;
}

/* Bytes behind the seal. */
static int opened(void *userdata, const void *p, size_t n) {
        PieceReader *r = ASSERT_PTR(userdata);
        size_t at = 0, used;
        int k;

        k = buffer_add(&r->pending, p, n);
        while (k >= 0 && at < r->pending.size) {
                const uint8_t *next = (const uint8_t *) r->pending.data + at;
                size_t left = r->pending.size - at;

                if (r->state == PIECE_END)
                        k = -EBADMSG; /* nothing follows the end */
                else if (r->state == PIECE_DATA)
                        k = take_frame(r, next, left, &used);
                else
                        k = take_record(r, next, left, &used);
                if (k == 0)
                        break;
                if (k > 0)
                        at += used;
        }
        if (k >= 0)
                buffer_consume(&r->pending, at);
        return MIN(k, 0);
}

int piece_reader_new(const AgeKeys *keys, const PieceReaderCalls *calls, void *userdata, PieceReader **ret) {
        _cleanup_(piece_reader_freep) PieceReader *r = NULL;
        int k;

        assert(calls);
        assert(ret);

        r = new0(PieceReader, 1);
        if (!r)
                return -ENOMEM;
        r->calls = *calls;
        r->userdata = userdata;
        r->plain = malloc(PIECE_FRAME);
        if (!r->plain)
                return -ENOMEM;
        k = frame_decompressor_new(&r->decompressor);
        if (k >= 0)
                k = sha256_new(&r->plain_sha256);
        if (k >= 0)
                k = sha256_new(&r->stored_sha256);
        if (k >= 0 && keys)
                k = age_decrypter_new(keys, opened, r, &r->age);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

int piece_reader_write(PieceReader *r, const void *p, size_t n) {
        int k;

        assert(r);
        assert(p || n == 0);

        k = sha256_add(r->stored_sha256, p, n);
        if (k < 0)
                return k;
        r->summary.stored_size += n;
        return r->age ? age_decrypter_write(r->age, p, n) : opened(r, p, n);
}

int piece_reader_finish(PieceReader *r, PieceSummary *ret) {
        int k = 0;

        assert(r);
        assert(ret);

        if (r->age)
                k = age_decrypter_finish(r->age);
        if (k < 0)
                return k;
        if (r->state != PIECE_END)
                return -EBADMSG;
        k = sha256_finish(r->stored_sha256, r->summary.sha256);
        if (k < 0)
                return k;
        *ret = r->summary;
        return 0;
}
