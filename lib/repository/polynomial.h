#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Polynomials over GF(2), one bit a coefficient: the fingerprint of a repository's chunker is taken modulo
 * an irreducible one of degree 53, which is secret, so that lengths of chunks say nothing of what is in
 * them. */

#include "base/macros.h"

#define POLYNOMIAL_DEGREE 53

/* Rabin's test. Also false for every degree but POLYNOMIAL_DEGREE. */
bool polynomial_is_irreducible(uint64_t polynomial);

/* A random one, fit for a new repository. -EIO where the kernel gives no random bytes. */
int polynomial_random(uint64_t *ret) _warn_unused_;

/* a(x) · x^shift mod polynomial, which has that degree; a is of a lower degree. */
uint64_t polynomial_shift(uint64_t polynomial, uint64_t a, unsigned shift) _pure_;
