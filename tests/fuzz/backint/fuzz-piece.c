/* SPDX-License-Identifier: Apache-2.0 */

/* An object from the storage, in two steps: the first byte says where it is cut. */

#include "backint/piece.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_head(void *userdata, const PieceHead *head) {
        bool *seen = userdata;

        CHECK(!*seen);
        CHECK(head->ebid && head->name && head->user && head->kind);
        *seen = true;
        return 0;
}

static int on_data(void *userdata, const void *p, size_t n) {
        const bool *seen = userdata;

        CHECK(*seen);
        CHECK(n > 0 && n <= PIECE_FRAME);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const PieceReaderCalls calls = { .head = on_head, .data = on_data };
        _cleanup_(piece_reader_freep) PieceReader *r = NULL;
        PieceSummary summary;
        bool seen = false;
        size_t first;

        if (size == 0)
                return 0;
        first = (size - 1) * data[0] / 255;
        CHECK_OK(piece_reader_new(NULL, &calls, &seen, &r));
        if (piece_reader_write(r, data + 1, first) >= 0 &&
            piece_reader_write(r, data + 1 + first, size - 1 - first) >= 0 &&
            piece_reader_finish(r, &summary) >= 0)
                CHECK(seen);
        return 0;
}
