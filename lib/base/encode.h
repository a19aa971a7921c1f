#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Bytes as text: hexadecimal and base64 (RFC 4648). Decoding is strict: one text for one value. */

#include "base/macros.h"

/* Writes 2 n digits and a NUL. Gives buf. */
char *hex_encode(const void *p, size_t n, char *buf);
/* The value of a lower- or upper-case digit, or -EINVAL. */
int hex_digit(char c);
/* Takes exactly 2 n lower- or upper-case digits and a NUL. */
int hex_decode(const char *s, void *buf, size_t n) _warn_unused_;

typedef enum Base64 {
        BASE64_STANDARD, /* + and / with padding */
        BASE64_RAW,      /* + and / without padding, as age uses */
        BASE64_URL,      /* - and _ without padding */
} Base64;

/* An allocated text. */
int base64_encode(Base64 alphabet, const void *p, size_t n, char **ret) _warn_unused_;
/* Takes n characters; -EINVAL when they are not the one encoding of some bytes. Allocates; a NUL follows
 * the bytes. */
int base64_decode(Base64 alphabet, const char *s, size_t n, void **ret, size_t *ret_size) _warn_unused_;
