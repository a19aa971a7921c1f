/* SPDX-License-Identifier: Apache-2.0 */

#include "repository/polynomial.h"
#include "tests/test.h"

/* The remainder of a by b. */
static uint64_t remainder_of(uint64_t a, uint64_t b) {
        int top = 63 - __builtin_clzll(b);

        while (a != 0 && 63 - __builtin_clzll(a) >= top)
                a ^= b << (63 - __builtin_clzll(a) - top);
        return a;
}

static uint64_t product(uint64_t a, uint64_t b) {
        uint64_t p = 0;

        for (; b > 0; b >>= 1, a <<= 1)
                if (b & 1)
                        p ^= a;
        return p;
}

static void test_known(void) {
        /* Polynomials that repositories of restic have; the first is of its documentation. */
        static const uint64_t good[] = {
                UINT64_C(0x25b468838dcb75),
                UINT64_C(0x3DA3358B4DC173),
        };

        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
                CHECK(polynomial_is_irreducible(good[i]));
                /* One term more or less makes it divisible by x + 1. */
                for (unsigned k = 0; k < POLYNOMIAL_DEGREE; k++)
                        CHECK(!polynomial_is_irreducible(good[i] ^ UINT64_C(1) << k));
                /* Other degrees are not for us. */
                CHECK(!polynomial_is_irreducible(good[i] << 1));
                CHECK(!polynomial_is_irreducible(good[i] >> 1));
        }
        CHECK(!polynomial_is_irreducible(0));
        CHECK(!polynomial_is_irreducible(1));
        CHECK(!polynomial_is_irreducible(UINT64_MAX));
        /* The irreducible one of degree 2, which is no divisor that the shape gives away. */
        CHECK(!polynomial_is_irreducible(7));
}

/* Products of two factors, none of them x or x + 1. */
static void test_products(void) {
        unsigned n = 0;

        for (uint64_t low = 7; low < 2000; low += 2) {
                uint64_t high = UINT64_C(1) << (POLYNOMIAL_DEGREE - (63 - __builtin_clzll(low))), p;

                if (__builtin_parityll(low) == 0)
                        continue;
                /* Any second factor of the degree that is missing, with an odd number of terms. */
                p = product(low, high | 0x15 | 2 * low);
                CHECK_INT(63 - __builtin_clzll(p), POLYNOMIAL_DEGREE);
                CHECK(!polynomial_is_irreducible(p));
                n++;
        }
        CHECK(n > 400);
}

static void test_random(void) {
        uint64_t seen[20];

        for (size_t i = 0; i < 20; i++) {
                CHECK_OK(polynomial_random(&seen[i]));
                CHECK(polynomial_is_irreducible(seen[i]));
                CHECK_INT(63 - __builtin_clzll(seen[i]), POLYNOMIAL_DEGREE);
                for (uint64_t divisor = 2; divisor < 4096; divisor++)
                        CHECK(remainder_of(seen[i], divisor) != 0);
                for (size_t k = 0; k < i; k++)
                        CHECK(seen[k] != seen[i]);
        }
}

static void test_shift(void) {
        const uint64_t p = UINT64_C(0x3DA3358B4DC173);

        CHECK_INT(polynomial_shift(p, 0, 100), 0);
        CHECK_INT(polynomial_shift(p, 5, 3), 40);
        CHECK_INT(polynomial_shift(p, 1, POLYNOMIAL_DEGREE), p ^ UINT64_C(1) << POLYNOMIAL_DEGREE);
        for (uint64_t b = 1; b < 256; b++)
                CHECK_INT(polynomial_shift(p, b, 55 - 8 + 8), remainder_of(b << 55, p));
}

int main(void) {
        RUN(test_known);
        RUN(test_products);
        RUN(test_random);
        RUN(test_shift);
        return 0;
}
