#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What everything in a repository is called by: a SHA-256, of a blob's plain content or of a file as it is
 * stored. */

#include "base/encode.h"
#include "base/macros.h"
#include "crypto/digest.h"

typedef struct Id {
        uint8_t bytes[SHA256_SIZE];
} Id;

#define ID_HEX_SIZE SHA256_HEX_SIZE /* with its NUL */
#define ID_HEX_LENGTH (ID_HEX_SIZE - 1)

static inline bool id_equal(const Id *a, const Id *b) {
        return memcmp(a, b, sizeof(Id)) == 0;
}

static inline int id_compare(const Id *a, const Id *b) {
        return memcmp(a, b, sizeof(Id));
}

static inline bool id_is_null(const Id *id) {
        return id_equal(id, &(Id){});
}

/* Gives buf. */
static inline char *id_to_hex(const Id *id, char buf[static ID_HEX_SIZE]) {
        return hex_encode(id, sizeof(Id), buf);
}

/* Takes exactly n = ID_HEX_LENGTH digits, lower-case as they are in names. -EINVAL. */
int id_from_hex(const char *s, size_t n, Id *ret) _warn_unused_;

/* The id of these bytes. */
int id_of(const void *p, size_t n, Id *ret) _warn_unused_;
