#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A growable run of bytes with a named upper limit. Always followed by a NUL that is not counted, so that
 * text can be used as a C string. */

#include <stdarg.h>

#include "base/macros.h"

typedef struct Buffer {
        char *data; /* NULL while nothing was added */
        size_t size;
        size_t allocated;
        size_t limit; /* 0: none */
} Buffer;

#define BUFFER_NULL ((Buffer){})
#define BUFFER_LIMITED(max) ((Buffer){ .limit = (max) })

void buffer_done(Buffer *b);
/* Forgets the content, keeps the memory. */
void buffer_clear(Buffer *b);
/* Makes room for n more bytes: -ENOMEM, or -EFBIG when that would pass the limit. */
int buffer_reserve(Buffer *b, size_t n) _warn_unused_;
int buffer_add(Buffer *b, const void *p, size_t n) _warn_unused_;
/* Takes what is missing to a size of full, and moves *p and *n past it. Gives 1 when it is full then, else
 * 0. What stays small takes little memory; what does not just
 * that, and spare bytes for what is put behind it. */
int buffer_fill(Buffer *b, size_t full, size_t spare, const char **p, size_t *n) _warn_unused_;
int buffer_add_string(Buffer *b, const char *s) _warn_unused_;
int buffer_printf(Buffer *b, const char *format, ...) _printf_(2, 3) _warn_unused_;
/* Drops the first n bytes. */
void buffer_consume(Buffer *b, size_t n);
/* Hands over the bytes (never NULL on success: an empty buffer gives ""); NULL when out of memory. */
char *buffer_take(Buffer *b);

#define _cleanup_buffer_ _cleanup_(buffer_done)
