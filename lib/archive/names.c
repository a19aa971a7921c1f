/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/names.h"
#include "base/alloc.h"
#include "base/text.h"

#define LIST_BUFFER (64U << 10)

void name_list_done(NameList *l) {
        assert(l);

        free(l->arena);
        free(l->offsets);
        free(l->limit);
        free(l->last);
        *l = NAME_LIST_NULL;
}

size_t name_list_memory(const NameList *l) {
        assert(l);

        return l->allocated + l->n_allocated * sizeof *l->offsets;
}

static const char *name_at(const NameList *l, size_t i) {
        return l->arena + l->offsets[i] + 1;
}

static int compare_offsets(const void *a, const void *b, void *arena) {
        return strcmp((const char *) arena + *(const uint32_t *) a + 1,
                      (const char *) arena + *(const uint32_t *) b + 1);
}

static void list_sort(NameList *l) {
        if (l->n > 1)
                qsort_r(l->offsets, l->n, sizeof *l->offsets, compare_offsets, l->arena);
}

static int compare_numbers(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return (x > y) - (x < y);
}

/* Keeps the lower half; the first name of the other one is the new limit. */
static int list_halve(NameList *l) {
        size_t keep = l->n / 2, to = 0;
        int r;

        list_sort(l);
        r = free_and_strdup(&l->limit, name_at(l, keep));
        if (r < 0)
                return r;
        l->n = keep;
        /* In order of place, so that moving down never overwrites what is still needed. */
        qsort(l->offsets, l->n, sizeof *l->offsets, compare_numbers);
        for (size_t i = 0; i < l->n; i++) {
                size_t n = strlen(name_at(l, i)) + 2;

                memmove(l->arena + to, l->arena + l->offsets[i], n);
                l->offsets[i] = (uint32_t) to;
                to += n;
        }
        l->used = to;
        return 0;
}

static int list_room(NameList *l, size_t n) {
        assert(l);

        if (l->used + n > l->allocated) {
                size_t size = MAX(l->allocated * 2, (size_t) 4096);
                char *grown = realloc(l->arena, size);

                if (!grown)
                        return -ENOMEM;
                l->arena = grown;
                l->allocated = size;
        }
        if (l->n == l->n_allocated) {
                size_t size = MAX(l->n_allocated * 2, (size_t) 256);
                uint32_t *grown = reallocarray(l->offsets, size, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                l->offsets = grown;
                l->n_allocated = size;
        }
        return 0;
}

static int list_add(NameList *l, const char *name, unsigned char type) {
        size_t n = strlen(name) + 2;
        int r;

        assert(l);

        if (l->last && strcmp(name, l->last) <= 0)
                return 0;
        if (l->n > 16 && l->used + n + (l->n + 1) * sizeof *l->offsets > l->budget) {
                r = list_halve(l);
                if (r < 0)
                        return r;
        }
        if (l->limit && strcmp(name, l->limit) >= 0)
                return 0;
        r = list_room(l, n);
        if (r < 0)
                return r;
        l->arena[l->used] = (char) type;
        memcpy(l->arena + l->used + 1, name, n - 1);
        l->offsets[l->n++] = (uint32_t) l->used;
        l->used += n;
        return 0;
}

static int list_fill(NameList *l, Fs *fs, int fd) {
        _cleanup_(freep) char *buf = NULL;
        int64_t k;
        int r;

        assert(l);

        l->n = l->next = l->used = 0;
        l->limit = mfree(l->limit);
        buf = malloc(LIST_BUFFER);
        if (!buf)
                return -ENOMEM;
        k = fs_seek(fs, fd, 0, SEEK_SET);
        if (k < 0)
                return (int) k;
        for (;;) {
                ssize_t n = fs_list(fs, fd, buf, LIST_BUFFER);

                if (n < 0)
                        return (int) n;
                if (n == 0)
                        break;
                for (ssize_t at = 0; at < n;) {
                        const struct dirent64 *d = (const struct dirent64 *) (buf + at);

                        at += d->d_reclen;
                        if (streq(d->d_name, ".") || streq(d->d_name, ".."))
                                continue;
                        r = list_add(l, d->d_name, d->d_type);
                        if (r < 0)
                                return r;
                }
        }
        list_sort(l);
        return 0;
}

int name_list_read(NameList *l, Fs *fs, int fd, size_t budget) {
        assert(l);
        assert(fs);
        assert(fd >= 0);

        l->budget = budget;
        l->last = mfree(l->last);
        return list_fill(l, fs, fd);
}

int name_list_peek(NameList *l, Fs *fs, int fd, const char **ret, unsigned char *ret_type) {
        int r;

        assert(l);
        assert(fs);
        assert(ret);
        assert(ret_type);

        if (l->next == l->n && l->limit) {
                r = free_and_strdup(&l->last, name_at(l, l->n - 1));
                if (r < 0)
                        return r;
                r = list_fill(l, fs, fd);
                if (r < 0)
                        return r;
        }
        if (l->next == l->n)
                return 0;
        *ret = name_at(l, l->next);
        *ret_type = (unsigned char) l->arena[l->offsets[l->next]];
        return 1;
}

void name_list_skip(NameList *l) {
        assert(l);
        assert(l->next < l->n);

        l->next++;
}
