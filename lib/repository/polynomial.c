/* SPDX-License-Identifier: Apache-2.0 */

/* Rabin's test for a prime degree n: f is irreducible when x^(2^n) = x mod f, and no polynomial of degree 1
 * divides it. (M. Rabin, Probabilistic algorithms in finite fields, 1980.) */

#include <errno.h>

#include "crypto/random.h"
#include "repository/polynomial.h"

#define TOP ((uint64_t) 1 << POLYNOMIAL_DEGREE)
/* One of about 53 is irreducible; without one in so many draws (1 in 10^16) the random numbers are none. */
#define DRAWS_MAX 2000

uint64_t polynomial_shift(uint64_t polynomial, uint64_t a, unsigned shift) {
        assert(a < TOP);

        for (; shift > 0; shift--) {
                a <<= 1;
                if (a & TOP)
                        a ^= polynomial;
        }
        return a;
}

static uint64_t multiply(uint64_t polynomial, uint64_t a, uint64_t b) {
        uint64_t product = 0;

        for (; b > 0; b >>= 1) {
                if (b & 1)
                        product ^= a;
                a = polynomial_shift(polynomial, a, 1);
        }
        return product;
}

bool polynomial_is_irreducible(uint64_t polynomial) {
        const uint64_t x = 2;
        uint64_t power = x;

        if (polynomial < TOP || polynomial >= 2 * TOP)
                return false;
        /* Divisible by x, or by x + 1. */
        if (!(polynomial & 1) || __builtin_parityll(polynomial) == 0)
                return false;
        for (unsigned i = 0; i < POLYNOMIAL_DEGREE; i++)
                power = multiply(polynomial, power, power);
        return power == x;
}

int polynomial_random(uint64_t *ret) {
        assert(ret);

        for (unsigned i = 0; i < DRAWS_MAX; i++) {
                uint64_t p;
                int r;

                r = random_bytes(&p, sizeof p);
                if (r < 0)
                        return r;
                p = (p & (TOP - 1)) | TOP | 1;
                if (polynomial_is_irreducible(p)) {
                        *ret = p;
                        return 0;
                }
        }
        return -EIO;
}
