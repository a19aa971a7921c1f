/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <wchar.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "cli/table.h"

#define COLUMN_GAP 2

void table_done(Table *t) {
        assert(t);

        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i]);
        free(t->cells);
        *t = TABLE_NULL;
}

/* The length of the UTF-8 sequence at s, and its character; 0 when there is none. */
static size_t decode(const char *s, uint32_t *ret) {
        const unsigned char *p = (const unsigned char *) s;
        size_t n = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 :
                        p[0] < 0xF0              ? 3 :
                                                   4;
        uint32_t c = n == 1 ? p[0] : p[0] & (0x7FU >> n);

        if (!utf8_is_valid(s, strnlen(s, n)) || strnlen(s, n) < n)
                return 0;
        for (size_t i = 1; i < n; i++)
                c = c << 6 | (p[i] & 0x3FU);
        *ret = c;
        return n;
}

/* Characters that change how others are shown: bidirectional overrides, separators of lines. */
static bool is_unsafe(uint32_t c) {
        return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) ||
                        (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

int text_safe(const char *text, char **ret) {
        _cleanup_(buffer_done) Buffer b = BUFFER_NULL;
        int r;

        assert(text);
        assert(ret);

        while (*text) {
                uint32_t c = 0;
                size_t n = decode(text, &c);

                if (n == 0 || (is_unsafe(c) && n == 1))
                        r = buffer_printf(&b, "\\x%02x", (unsigned char) *text);
                else if (is_unsafe(c))
                        r = buffer_printf(&b, "\\u%04x", c);
                else
                        r = buffer_add(&b, text, n);
                if (r < 0)
                        return r;
                text += n > 0 ? n : 1;
        }
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

size_t text_width(const char *text) {
        size_t width = 0;

        assert(text);

        while (*text) {
                uint32_t c = 0;
                size_t n = decode(text, &c);
                int columns = n > 0 ? wcwidth((wchar_t) c) : 1;

                /* In a locale that knows no Unicode each character counts as one. */
                width += columns < 0 ? 1 : (size_t) columns;
                text += n > 0 ? n : 1;
        }
        return width;
}

int table_add(Table *t, const char *text) {
        _cleanup_(freep) char *safe = NULL;
        int r;

        assert(t);
        assert(t->n_columns > 0 && t->n_columns <= TABLE_COLUMNS_MAX);

        r = text_safe(isempty(text) ? "-" : text, &safe);
        if (r < 0)
                return r;
        if (t->n_cells == t->allocated) {
                size_t n = t->allocated > 0 ? 2 * t->allocated : 64;
                char **cells = reallocarray(t->cells, n, sizeof(char *));

                if (!cells)
                        return -ENOMEM;
                t->cells = cells;
                t->allocated = n;
        }
        t->cells[t->n_cells++] = TAKE_PTR(safe);
        return 0;
}

static void print_cell(const Table *t, size_t i, const size_t *widths, FILE *file) {
        size_t column = i % t->n_columns, width = text_width(t->cells[i]);
        int pad = (int) (widths[column] - width);
        bool right = t->right >> column & 1, last = column + 1 == t->n_columns;

        fprintf(file, "%*s%s", right ? pad : 0, "", t->cells[i]);
        if (last)
                fputc('\n', file);
        else
                fprintf(file, "%*s", (right ? 0 : pad) + COLUMN_GAP, "");
}

int table_print(const Table *t, FILE *file) {
        size_t widths[TABLE_COLUMNS_MAX] = {};

        assert(t);
        assert(file);

        for (size_t i = 0; i < t->n_cells; i++)
                widths[i % t->n_columns] = MAX(widths[i % t->n_columns], text_width(t->cells[i]));
        for (size_t i = 0; i < t->n_cells; i++)
                print_cell(t, i, widths, file);
        return ferror(file) ? -EIO : 0;
}
