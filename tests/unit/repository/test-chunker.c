/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "base/alloc.h"
#include "repository/chunker.h"
#include "repository/polynomial.h"
#include "tests/test.h"

#define POLYNOMIAL UINT64_C(0x3DA3358B4DC173)
#define SIZE ((size_t) 40 << 20)
#define CUTS_MAX 128

typedef struct Cuts {
        size_t at[CUTS_MAX], n;
} Cuts;

static uint64_t next_random(uint64_t *s) {
        *s ^= *s << 13;
        *s ^= *s >> 7;
        *s ^= *s << 17;
        return *s;
}

static uint8_t *random_data(uint64_t seed, size_t n) {
        uint8_t *data = malloc(n);

        CHECK(data);
        for (size_t i = 0; i < n; i++)
                data[i] = (uint8_t) (next_random(&seed) >> 24);
        return data;
}

/* Offers the data in pieces of up to so many bytes. */
static void cut_in_pieces(const Chunker *c, const uint8_t *data, size_t size, size_t piece_max,
                          uint64_t seed, Cuts *ret) {
        size_t start = 0, seen = 0, end = 0, n;

        *ret = (Cuts){};
        while (end < size) {
                size_t piece = 1 + next_random(&seed) % piece_max;

                end = MIN(size, end + piece);
                while ((n = chunker_cut(c, data + start, seen, end - start)) > 0) {
                        CHECK(ret->n < CUTS_MAX);
                        ret->at[ret->n++] = n;
                        start += n;
                        seen = 0;
                }
                seen = end - start;
        }
        if (start < size)
                ret->at[ret->n++] = size - start;
}

static void check_equal(const Cuts *a, const Cuts *b) {
        CHECK_INT(a->n, b->n);
        for (size_t i = 0; i < a->n; i++)
                CHECK_INT(a->at[i], b->at[i]);
}

/* What restic does, bit by bit: the polynomial of the window modulo the other one, at every position. */
static bool rabin_is_cut(const uint8_t *end) {
        uint64_t h = 0;

        for (const uint8_t *p = end - 64; p < end; p++)
                for (int bit = 7; bit >= 0; bit--) {
                        h = h << 1 | ((*p >> bit) & 1);
                        if (h & UINT64_C(1) << POLYNOMIAL_DEGREE)
                                h ^= POLYNOMIAL;
                }
        return (h & 0xFFFFF) == 0;
}

static void test_rabin_definition(void) {
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *data = random_data(3, SIZE);
        Cuts cuts;
        size_t at = 0;

        CHECK_OK(chunker_new(CHUNKER_RABIN, POLYNOMIAL, &c));
        cut_in_pieces(c, data, SIZE, 1 << 20, 1, &cuts);
        CHECK(cuts.n > 15);
        for (size_t i = 0; i < cuts.n; i++) {
                at += cuts.at[i];
                if (i + 1 < cuts.n && cuts.at[i] < CHUNK_MAX)
                        CHECK(rabin_is_cut(data + at));
        }
        /* And nowhere before: every position of the first chunk but its end. */
        for (size_t i = CHUNK_MIN; i < cuts.at[0]; i++)
                CHECK(!rabin_is_cut(data + i));
}

static void test_pieces(void) {
        _cleanup_(freep) uint8_t *data = random_data(7, SIZE);

        /* A run of zeros in the middle, which long steps go over, and ends that no block begins with. */
        memset(data + 10000001, 0, 20000003);
        for (ChunkerKind kind = 0; kind < _CHUNKER_KIND_MAX; kind++) {
                _cleanup_(chunker_freep) Chunker *c = NULL;
                Cuts whole, other;

                CHECK_OK(chunker_new(kind, POLYNOMIAL, &c));
                cut_in_pieces(c, data, SIZE, SIZE, 1, &whole);
                for (size_t i = 0; i + 1 < whole.n; i++) {
                        CHECK(whole.at[i] >= CHUNK_MIN);
                        CHECK(whole.at[i] <= CHUNK_MAX);
                }
                for (size_t piece = 100; piece <= CHUNK_MAX; piece *= 7) {
                        cut_in_pieces(c, data, SIZE, piece, piece, &other);
                        check_equal(&whole, &other);
                }
        }
}

/* One byte at a time, where it is cheap: around each cut. */
static void test_single_bytes(void) {
        _cleanup_(freep) uint8_t *data = random_data(11, CHUNK_MAX);

        for (ChunkerKind kind = 0; kind < _CHUNKER_KIND_MAX; kind++) {
                _cleanup_(chunker_freep) Chunker *c = NULL;
                size_t n;

                CHECK_OK(chunker_new(kind, POLYNOMIAL, &c));
                n = chunker_cut(c, data, 0, CHUNK_MAX);
                CHECK(n > 0);
                for (size_t i = MAX(n, CHUNK_MIN + 1000) - 1000; i < n; i++)
                        CHECK_INT(chunker_cut(c, data, i > 0 ? i - 1 : 0, i), 0);
                CHECK_INT(chunker_cut(c, data, n - 1, n), n);
                CHECK_INT(chunker_cut(c, data, 0, n), n);
        }
}

/* After something is put in front, the cuts find back to the same content. */
static void test_insertion(void) {
        _cleanup_(freep) uint8_t *data = random_data(13, SIZE), *moved = malloc(SIZE + 12345);

        CHECK(moved);
        memset(moved, 'x', 12345);
        memcpy(moved + 12345, data, SIZE);
        for (ChunkerKind kind = 0; kind < _CHUNKER_KIND_MAX; kind++) {
                _cleanup_(chunker_freep) Chunker *c = NULL;
                Cuts a, b;

                CHECK_OK(chunker_new(kind, POLYNOMIAL, &c));
                cut_in_pieces(c, data, SIZE, SIZE, 1, &a);
                cut_in_pieces(c, moved, SIZE + 12345, SIZE, 1, &b);
                CHECK(a.n > 10 && b.n > 10);
                for (size_t i = 1; i < 6; i++)
                        CHECK_INT(a.at[a.n - i], b.at[b.n - i]);
        }
}

static void test_zeros(void) {
        _cleanup_(freep) uint8_t *data = calloc(1, 3 * CHUNK_MAX);

        CHECK(data);
        for (ChunkerKind kind = 0; kind < _CHUNKER_KIND_MAX; kind++) {
                _cleanup_(chunker_freep) Chunker *c = NULL;

                CHECK_OK(chunker_new(kind, POLYNOMIAL, &c));
                CHECK_INT(chunker_cut(c, data, 0, 3 * CHUNK_MAX), chunker_zeros(c));
                CHECK_INT(chunker_cut(c, data, 0, chunker_zeros(c) - 1), 0);
        }
}

/* The cuts of a repository must be the same for ever: these were made by the first version. */
static void test_gear_stays(void) {
        static const size_t expected[] = { 1220834, 1194567, 654020, 2437253,
                                           710549, 538042, 1154167, 479176 };
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *data = random_data(17, (size_t) 8 << 20);
        Cuts cuts;

        CHECK_OK(chunker_new(CHUNKER_GEAR, POLYNOMIAL, &c));
        cut_in_pieces(c, data, (size_t) 8 << 20, 1 << 20, 1, &cuts);
        CHECK_INT(cuts.n, sizeof expected / sizeof *expected);
        for (size_t i = 0; i < cuts.n; i++)
                CHECK_INT(cuts.at[i], expected[i]);
}

/* Another polynomial cuts elsewhere: what is public says nothing of the lengths. */
static void test_secret(void) {
        _cleanup_(freep) uint8_t *data = random_data(19, CHUNK_MAX);

        for (ChunkerKind kind = 0; kind < _CHUNKER_KIND_MAX; kind++) {
                _cleanup_(chunker_freep) Chunker *a = NULL, *b = NULL;

                CHECK_OK(chunker_new(kind, POLYNOMIAL, &a));
                CHECK_OK(chunker_new(kind, UINT64_C(0x25b468838dcb75), &b));
                CHECK(chunker_cut(a, data, 0, CHUNK_MAX) != chunker_cut(b, data, 0, CHUNK_MAX));
        }
}

static void test_refused(void) {
        Chunker *c = NULL;

        CHECK_INT(chunker_new(CHUNKER_GEAR, 0, &c), -EINVAL);
        CHECK_INT(chunker_new(CHUNKER_RABIN, POLYNOMIAL ^ 2, &c), -EINVAL);
        CHECK(!c);
}

int main(void) {
        RUN(test_rabin_definition);
        RUN(test_pieces);
        RUN(test_single_bytes);
        RUN(test_insertion);
        RUN(test_zeros);
        RUN(test_gear_stays);
        RUN(test_secret);
        RUN(test_refused);
        return 0;
}
