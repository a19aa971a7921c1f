#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The skippable frames of a piece. For the files of this folder. */

#include "backint/piece.h"

#define PIECE_MAGIC 0x184D2A5BU
#define PIECE_TAG_SIZE 4
/* Magic, length, tag. */
#define PIECE_RECORD_HEAD (8 + PIECE_TAG_SIZE)
/* Of a check and of an end, behind the tag. */
#define PIECE_CHECK_SIZE (4 + 4 + SHA256_SIZE)
#define PIECE_END_SIZE (8 + SHA256_SIZE)

static inline void piece_put_number(uint8_t *p, uint64_t v, size_t n) {
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t) (v >> (8 * i));
}

static inline uint64_t piece_get_number(const uint8_t *p, size_t n) {
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++)
                v |= (uint64_t) p[i] << (8 * i);
        return v;
}
