#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Allocation that reports failure, and memory that is wiped before it is given back. */

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

#define new0(type, n) ((type *) calloc((n), sizeof(type)))

static inline void *mfree(void *p) {
        free(p);
        return NULL;
}

static inline void freep(void *p) {
        free(*(void **) p);
}

/* Copies n bytes and a terminating NUL that is not counted; NULL when out of memory. */
static inline void *memdup0(const void *p, size_t n) {
        char *copy;

        if (n == SIZE_MAX)
                return NULL;
        copy = malloc(n + 1);
        if (!copy)
                return NULL;
        if (n > 0)
                memcpy(copy, p, n);
        copy[n] = 0;
        return copy;
}

/* For secrets that are C strings. */
static inline char *erase_and_free(char *p) {
        if (p)
                explicit_bzero(p, strlen(p));
        free(p);
        return NULL;
}

static inline void erase_and_freep(char **p) {
        *p = erase_and_free(*p);
}

/* _cleanup_(erase_array) for secrets in arrays: wipes the whole variable. */
#define CLEANUP_ERASE(name) \
        _cleanup_(erase_ref_done) _unused_ EraseRef name##_erase = { &(name), sizeof(name) }

typedef struct EraseRef {
        void *p;
        size_t n;
} EraseRef;

static inline void erase_ref_done(EraseRef *r) {
        explicit_bzero(r->p, r->n);
}
