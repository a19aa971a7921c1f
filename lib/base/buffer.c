/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"

void buffer_done(Buffer *b) {
        assert(b);

        free(b->data);
        *b = (Buffer){ .limit = b->limit };
}

void buffer_clear(Buffer *b) {
        assert(b);

        b->size = 0;
        if (b->data)
                b->data[0] = 0;
}

int buffer_reserve(Buffer *b, size_t n) {
        size_t want, grown;
        char *p;

        assert(b);

        if (n > SIZE_MAX / 4 || b->size > SIZE_MAX / 4)
                return -ENOMEM;
        want = b->size + n;
        if (b->limit > 0 && want > b->limit)
                return -EFBIG;
        if (b->data && want + 1 <= b->allocated)
                return 0;

        grown = MAX(want + 1, b->allocated + b->allocated / 2);
        grown = MAX(grown, (size_t) 64);
        p = realloc(b->data, grown);
        if (!p)
                return -ENOMEM;
        b->data = p;
        b->allocated = grown;
        b->data[b->size] = 0;
        return 0;
}

int buffer_add(Buffer *b, const void *p, size_t n) {
        int r;

        assert(b);
        assert(p || n == 0);

        r = buffer_reserve(b, n);
        if (r < 0)
                return r;
        if (n > 0)
                memcpy(b->data + b->size, p, n);
        b->size += n;
        b->data[b->size] = 0;
        return 0;
}

int buffer_fill(Buffer *b, size_t full, size_t spare, const char **p, size_t *n) {
        size_t part;
        int r = 0;

        assert(b && b->size < full);
        assert(p && n);

        part = MIN(*n, full - b->size);
        if (b->size + part > full / 8)
                r = buffer_reserve(b, full + spare - b->size);
        if (r >= 0)
                r = buffer_add(b, *p, part);
        if (r < 0)
                return r;
        *p += part;
        *n -= part;
        return b->size == full;
}

int buffer_add_string(Buffer *b, const char *s) {
        assert(s);

        return buffer_add(b, s, strlen(s));
}

int buffer_printf(Buffer *b, const char *format, ...) {
        va_list ap;
        int n, r;

        assert(b);
        assert(format);

        va_start(ap, format);
        n = vsnprintf(NULL, 0, format, ap);
        va_end(ap);
        if (n < 0)
                return -EINVAL;

        r = buffer_reserve(b, (size_t) n);
        if (r < 0)
                return r;

        va_start(ap, format);
        (void) vsnprintf(b->data + b->size, (size_t) n + 1, format, ap);
        va_end(ap);
        b->size += (size_t) n;
        return 0;
}

void buffer_consume(Buffer *b, size_t n) {
        assert(b);
        assert(n <= b->size);

        if (n == 0)
                return;
        memmove(b->data, b->data + n, b->size - n + 1);
        b->size -= n;
}

char *buffer_take(Buffer *b) {
        char *p;

        assert(b);

        if (!b->data && buffer_reserve(b, 0) < 0)
                return NULL;
        p = TAKE_PTR(b->data);
        b->size = b->allocated = 0;
        return p;
}
