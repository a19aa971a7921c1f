/* SPDX-License-Identifier: Apache-2.0 */

/* Rates of the chunkers on one core: random bytes, text with few different bytes, zeros. Prints MB/s of the
 * content of files (what lies before CHUNK_MIN costs nothing) and the average chunk. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/times.h"
#include "repository/chunker.h"

#define SIZE ((size_t) 256 << 20)
#define PIECE ((size_t) 256 << 10)
#define ROUNDS 5
/* Any irreducible one; the rate does not depend on it. */
#define POLYNOMIAL UINT64_C(0x3DA3358B4DC173)

typedef enum Content {
        CONTENT_RANDOM,
        CONTENT_TEXT,
        CONTENT_ZEROS,
        _CONTENT_MAX,
} Content;

static const char *const names[_CONTENT_MAX] = {
        [CONTENT_RANDOM] = "random",
        [CONTENT_TEXT] = "text",
        [CONTENT_ZEROS] = "zeros",
};

static void fill(uint8_t *data, Content content) {
        uint64_t s = 88172645463325252U;

        for (size_t i = 0; i < SIZE; i++) {
                s ^= s << 13;
                s ^= s >> 7;
                s ^= s << 17;
                data[i] = content == CONTENT_RANDOM     ? (uint8_t) (s >> 24) :
                                content == CONTENT_TEXT ? (uint8_t) ('a' + (s >> 24) % 24) :
                                                          0;
        }
}

static size_t cut_all(const Chunker *c, const uint8_t *data) {
        size_t chunks = 0, start = 0, seen = 0, end = 0;

        while (end < SIZE) {
                size_t n;

                end = MIN(end + PIECE, SIZE);
                while ((n = chunker_cut(c, data + start, seen, end - start)) > 0) {
                        start += n;
                        seen = 0;
                        chunks++;
                }
                seen = end - start;
        }
        return chunks + (start < SIZE);
}

static int measure(ChunkerKind kind, const uint8_t *data, const char *name) {
        _cleanup_(chunker_freep) Chunker *c = NULL;
        usec_t best = USEC_INFINITY;
        size_t chunks = 0;

        if (chunker_new(kind, POLYNOMIAL, &c) < 0)
                return EXIT_FAILURE;
        for (unsigned i = 0; i < ROUNDS; i++) {
                usec_t start = now_usec(CLOCK_THREAD_CPUTIME_ID);

                chunks = cut_all(c, data);
                best = MIN(best, now_usec(CLOCK_THREAD_CPUTIME_ID) - start);
        }
        printf("%-6s %-7s %8.0f MB/s  %6.0f KiB a chunk\n", chunker_kind_to_string(kind), name,
               (double) SIZE / (double) best, (double) SIZE / 1024 / (double) chunks);
        return EXIT_SUCCESS;
}

int main(void) {
        uint8_t *data = malloc(SIZE);
        int r = EXIT_SUCCESS;

        if (!data)
                return EXIT_FAILURE;
        for (Content i = 0; i < _CONTENT_MAX && r == EXIT_SUCCESS; i++) {
                fill(data, i);
                r = measure(CHUNKER_GEAR, data, names[i]) | measure(CHUNKER_RABIN, data, names[i]);
        }
        free(data);
        return r;
}
