/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "archive/links.h"
#include "base/alloc.h"

#define BUCKETS (16U << 10)
/* What malloc keeps beside each block. */
#define BLOCK_OVERHEAD 16

typedef struct Link {
        struct Link *next;
        uint64_t dev, ino;
        uint32_t left; /* names that were not seen yet */
        char path[];
} Link;

struct Links {
        size_t budget, used;
        Link *last; /* to be freed at the next call: its path was handed out */
        Link *buckets[BUCKETS];
};

int links_new(size_t budget, Links **ret) {
        Links *l;

        assert(ret);

        l = new0(Links, 1);
        if (!l)
                return -ENOMEM;
        l->budget = budget;
        *ret = l;
        return 0;
}

Links *links_free(Links *l) {
        if (!l)
                return NULL;
        free(l->last);
        for (size_t i = 0; i < BUCKETS; i++)
                for (Link *e = l->buckets[i], *next; e; e = next) {
                        next = e->next;
                        free(e);
                }
        return mfree(l);
}

static Link **bucket_of(Links *l, uint64_t dev, uint64_t ino) {
        uint64_t h = (ino ^ dev << 32) * UINT64_C(0x9e3779b97f4a7c15);

        return &l->buckets[h >> 50];
}

const char *links_find(Links *l, uint64_t dev, uint64_t ino) {
        assert(l);

        l->last = mfree(l->last);
        for (Link **p = bucket_of(l, dev, ino); *p; p = &(*p)->next) {
                Link *e = *p;

                if (e->dev != dev || e->ino != ino)
                        continue;
                if (--e->left == 0) {
                        *p = e->next;
                        l->used -= sizeof *e + strlen(e->path) + 1 + BLOCK_OVERHEAD;
                        l->last = e;
                }
                return e->path;
        }
        return NULL;
}

int links_add(Links *l, uint64_t dev, uint64_t ino, uint32_t n_links, const char *path) {
        size_t n = strlen(path) + 1, size = sizeof(Link) + n + BLOCK_OVERHEAD;
        Link **bucket, *e;

        assert(l);
        assert(n_links > 1);

        if (l->used + size > l->budget)
                return 0;
        e = malloc(sizeof *e + n);
        if (!e)
                return -ENOMEM;
        bucket = bucket_of(l, dev, ino);
        *e = (Link){ .next = *bucket, .dev = dev, .ino = ino, .left = n_links - 1 };
        memcpy(e->path, path, n);
        *bucket = e;
        l->used += size;
        return 1;
}
