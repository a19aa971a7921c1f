#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The one way a number or a switch enters from text. No sign, no white space, no trailing bytes are
 * accepted that a function does not name. -EINVAL: not of the form; -ERANGE: outside the range. Outputs are
 * untouched on failure. */

#include "base/macros.h"
#include "base/times.h"

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret) _warn_unused_;
int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret) _warn_unused_;
/* A size in bytes: digits with an optional K, M, G, T (powers of 1024). */
int parse_size(const char *s, uint64_t *ret) _warn_unused_;
/* A time span: digits with ms, s, min, h, d; a bare number is seconds. */
int parse_span(const char *s, usec_t *ret) _warn_unused_;
/* yes/no, true/false, on/off, 1/0. */
int parse_boolean(const char *s, bool *ret) _warn_unused_;
