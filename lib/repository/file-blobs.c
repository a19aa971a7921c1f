/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/file-blobs.h"

#define BUCKETS 4096

typedef struct Item {
        struct Item *next;
        uint64_t dev, ino;
        uint64_t left; /* names that did not come yet */
        size_t n;
        Id ids[];
} Item;

struct FileBlobs {
        Item *buckets[BUCKETS];
        Item *last; /* found last, all its names seen: gone at the next call */
        size_t budget, used;
};

static size_t item_size(size_t n) {
        return sizeof(Item) + n * sizeof(Id);
}

static Item **bucket(FileBlobs *t, uint64_t dev, uint64_t ino) {
        return &t->buckets[(ino * UINT64_C(0x9E3779B97F4A7C15) ^ dev) >> 16 & (BUCKETS - 1)];
}

int file_blobs_new(size_t budget, FileBlobs **ret) {
        FileBlobs *t;

        assert(ret);

        t = new0(FileBlobs, 1);
        if (!t)
                return -ENOMEM;
        t->budget = budget;
        *ret = t;
        return 0;
}

FileBlobs *file_blobs_free(FileBlobs *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < BUCKETS; i++)
                while (t->buckets[i]) {
                        Item *next = t->buckets[i]->next;

                        free(t->buckets[i]);
                        t->buckets[i] = next;
                }
        free(t->last);
        return mfree(t);
}

bool file_blobs_find(FileBlobs *t, uint64_t dev, uint64_t ino, const Id **ret, size_t *ret_n) {
        assert(t);
        assert(ret);
        assert(ret_n);

        t->last = mfree(t->last);
        for (Item **i = bucket(t, dev, ino); *i; i = &(*i)->next) {
                Item *item = *i;

                if (item->dev != dev || item->ino != ino)
                        continue;
                *ret = item->ids;
                *ret_n = item->n;
                if (--item->left == 0) {
                        *i = item->next;
                        t->used -= item_size(item->n);
                        t->last = item;
                }
                return true;
        }
        return false;
}

void file_blobs_add(FileBlobs *t, uint64_t dev, uint64_t ino, uint64_t n_links, const Id *ids, size_t n) {
        Item **b = bucket(t, dev, ino), *item;

        assert(t);
        assert(ids || n == 0);

        if (n_links < 2 || n > t->budget / sizeof(Id) || item_size(n) > t->budget - t->used)
                return;
        item = malloc(item_size(n));
        if (!item)
                return;
        *item = (Item){ .next = *b, .dev = dev, .ino = ino, .left = n_links - 1, .n = n };
        if (n > 0)
                memcpy(item->ids, ids, n * sizeof(Id));
        *b = item;
        t->used += item_size(n);
}
