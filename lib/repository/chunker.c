/* SPDX-License-Identifier: Apache-2.0 */

/* Both fingerprints are of the last 64 bytes and of nothing before them. So a range can be searched in
 * pieces, each warmed up by the bytes before it, and the processor, which would wait for each step of one
 * chain, has four independent ones to work on. The cuts are the same as those of one chain.
 *
 * Gear: W. Xia et al., Ddelta, 2014. Rabin: M. Rabin, Fingerprinting by random polynomials, 1981, with the
 * window, the masks and the limits of restic's chunker. */

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "crypto/primitives.h"
#include "repository/chunker.h"
#include "repository/polynomial.h"

#define WINDOW 64
#define LANES 4
/* What one chain does of a block: long against the window, short against a chunk. */
#define LANE 4096
#define BLOCK ((size_t) LANES * LANE)

#define GEAR_BITS 19
#define GEAR_LIMIT ((uint64_t) 1 << (64 - GEAR_BITS))
#define RABIN_MASK (((uint64_t) 1 << 20) - 1)
#define RABIN_SHIFT (POLYNOMIAL_DEGREE - 8)

struct Chunker {
        ChunkerKind kind;
        uint64_t gear[256];
        uint64_t in[256];  /* Rabin: what shifts out at the top, reduced, and that top itself */
        uint64_t out[256]; /* Rabin: a byte that leaves the window */
};

static const char *const chunker_kind_table[_CHUNKER_KIND_MAX] = {
        [CHUNKER_RABIN] = "rabin",
        [CHUNKER_GEAR] = "gear",
};

DEFINE_STRING_TABLE(chunker_kind, ChunkerKind);

/* --- Tables ------------------------------------------------------------------------------------------- */

static int gear_fill(Chunker *c, uint64_t polynomial) {
        uint8_t secret[8], key[AEAD_KEY_SIZE];

        assert(c);

        for (size_t i = 0; i < sizeof secret; i++)
                secret[i] = (uint8_t) (polynomial >> (56 - 8 * i));
        for (size_t i = 0; i < 256; i += sizeof key / 8) {
                char info[48];
                int r;

                (void) snprintf(info, sizeof info, "backupx gear table 1, from %zu", i);
                r = hkdf_sha256(secret, sizeof secret, NULL, 0, info, key);
                if (r < 0)
                        return r;
                for (size_t k = 0; k < sizeof key; k++)
                        c->gear[i + k / 8] = c->gear[i + k / 8] << 8 | key[k];
        }
        /* The fingerprint of zeros is -gear[0]: a run of them must have no cut but those at CHUNK_MAX. */
        if (-c->gear[0] < GEAR_LIMIT)
                c->gear[0] ^= (uint64_t) 1 << 63;
        return 0;
}

static void rabin_fill(Chunker *c, uint64_t polynomial) {
        assert(c);

        for (uint64_t b = 0; b < 256; b++) {
                c->in[b] = polynomial_shift(polynomial, b, POLYNOMIAL_DEGREE) | b << POLYNOMIAL_DEGREE;
                c->out[b] = polynomial_shift(polynomial, b, 8 * (WINDOW - 1));
        }
}

int chunker_new(ChunkerKind kind, uint64_t polynomial, Chunker **ret) {
        _cleanup_(chunker_freep) Chunker *c = NULL;
        int r;

        assert(kind >= 0 && kind < _CHUNKER_KIND_MAX);
        assert(ret);

        if (!polynomial_is_irreducible(polynomial))
                return -EINVAL;
        c = new0(Chunker, 1);
        if (!c)
                return -ENOMEM;
        c->kind = kind;
        switch (kind) {
        case CHUNKER_RABIN:
                rabin_fill(c, polynomial);
                break;
        case CHUNKER_GEAR:
                r = gear_fill(c, polynomial);
                if (r < 0)
                        return r;
                break;
        case _CHUNKER_KIND_MAX:
        case _CHUNKER_KIND_INVALID:
                return -EINVAL;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

Chunker *chunker_free(Chunker *c) {
        if (!c)
                return NULL;
        explicit_bzero(c, sizeof *c);
        return mfree(c);
}

/* --- Gear --------------------------------------------------------------------------------------------- */

static inline uint64_t gear_step(const uint64_t *table, uint64_t h, uint8_t b) {
        return (h << 1) + table[b];
}

/* The fingerprint of the bytes before p. */
static uint64_t gear_warm(const Chunker *c, const uint8_t *p) {
        uint64_t h = 0;

        for (size_t i = WINDOW; i > 0; i--)
                h = gear_step(c->gear, h, p[-(ptrdiff_t) i]);
        return h;
}

/* The first of n bytes at p to cut after; n: none. */
static size_t gear_scan(const Chunker *c, const uint8_t *p, size_t n) {
        uint64_t h = gear_warm(c, p);

        for (size_t i = 0; i < n; i++) {
                h = gear_step(c->gear, h, p[i]);
                if (h < GEAR_LIMIT)
                        return i;
        }
        return n;
}

/* Whether there is a cut in a block. */
static bool gear_block(const Chunker *c, const uint8_t *p) {
        const uint64_t *table = c->gear;
        const uint8_t *end = p + LANE;
        uint64_t h0, h1, h2, h3;

        h0 = gear_warm(c, p);
        h1 = gear_warm(c, p + LANE);
        h2 = gear_warm(c, p + 2 * LANE);
        h3 = gear_warm(c, p + 3 * LANE);
        for (; p < end; p++) {
                h0 = gear_step(table, h0, p[0]);
                h1 = gear_step(table, h1, p[LANE]);
                h2 = gear_step(table, h2, p[2 * LANE]);
                h3 = gear_step(table, h3, p[3 * LANE]);
                if (MIN(MIN(h0, h1), MIN(h2, h3)) < GEAR_LIMIT)
                        return true;
        }
        return false;
}

/* --- Rabin -------------------------------------------------------------------------------------------- */

static inline uint64_t rabin_step(const Chunker *c, uint64_t h, uint8_t b) {
        return (h << 8 | b) ^ c->in[h >> RABIN_SHIFT];
}

/* Takes in *p, lets go of what leaves the window. */
static inline uint64_t rabin_slide(const Chunker *c, uint64_t h, const uint8_t *p) {
        return rabin_step(c, h ^ c->out[p[-WINDOW]], *p);
}

static uint64_t rabin_warm(const Chunker *c, const uint8_t *p) {
        uint64_t h = 0;

        for (size_t i = WINDOW; i > 0; i--)
                h = rabin_step(c, h, p[-(ptrdiff_t) i]);
        return h;
}

static size_t rabin_scan(const Chunker *c, const uint8_t *p, size_t n) {
        uint64_t h = rabin_warm(c, p);

        for (size_t i = 0; i < n; i++) {
                h = rabin_slide(c, h, p + i);
                if ((h & RABIN_MASK) == 0)
                        return i;
        }
        return n;
}

static bool rabin_block(const Chunker *c, const uint8_t *p) {
        const uint8_t *end = p + LANE;
        uint64_t h0, h1, h2, h3;

        h0 = rabin_warm(c, p);
        h1 = rabin_warm(c, p + LANE);
        h2 = rabin_warm(c, p + 2 * LANE);
        h3 = rabin_warm(c, p + 3 * LANE);
        for (; p < end; p++) {
                h0 = rabin_slide(c, h0, p);
                h1 = rabin_slide(c, h1, p + LANE);
                h2 = rabin_slide(c, h2, p + 2 * LANE);
                h3 = rabin_slide(c, h3, p + 3 * LANE);
                if (!(h0 & RABIN_MASK) | !(h1 & RABIN_MASK) | !(h2 & RABIN_MASK) | !(h3 & RABIN_MASK))
                        return true;
        }
        return false;
}

/* --- Both --------------------------------------------------------------------------------------------- */

static bool is_zeros(const uint8_t *p, size_t n) {
        return *p == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* The first of n bytes at p to cut after; n: none. */
static size_t scan(const Chunker *c, const uint8_t *p, size_t n) {
        bool gear = c->kind == CHUNKER_GEAR;
        size_t i = 0;

        for (; n - i >= BLOCK; i += BLOCK) {
                if (gear && is_zeros(p + i - WINDOW, BLOCK + WINDOW))
                        continue;
                if (gear ? gear_block(c, p + i) : rabin_block(c, p + i))
                        break;
        }
        return i + (gear ? gear_scan(c, p + i, n - i) : rabin_scan(c, p + i, n - i));
}

size_t chunker_cut(const Chunker *c, const uint8_t *p, size_t n_seen, size_t n) {
        size_t from = MAX(n_seen, CHUNK_MIN - 1), to = MIN(n, CHUNK_MAX - 1), at;

        assert(c);
        assert(p || n == 0);
        assert(n_seen <= n);

        if (from < to) {
                at = from + scan(c, p + from, to - from);
                if (at < to)
                        return at + 1;
        }
        return n >= CHUNK_MAX ? CHUNK_MAX : 0;
}

size_t chunker_zeros(const Chunker *c) {
        assert(c);

        return c->kind == CHUNKER_GEAR ? CHUNK_MAX : CHUNK_MIN;
}
