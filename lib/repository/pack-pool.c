/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "repository/pack-pool.h"
#include "repository/packer.h"

#define PACK_END (pack_header_size_max(PACK_BLOBS_MAX) + CIPHER_OVERHEAD + PACK_TRAILER_SIZE)
/* Packs of many repositories are smaller, down to this. */
#define PACK_FULL_MIN ((size_t) 1 << 20)

static void pack_free(Pack *k) {
        if (!k)
                return;
        if (k->data)
                (void) munmap(k->data, k->capacity);
        sha256_free(k->digest);
        free(k->blobs);
        free(k->filled);
        free(k);
}

int pack_pool_new(size_t limit, PackPool **ret) {
        PackPool *p = new0(PackPool, 1);

        assert(limit > 0);
        assert(ret);

        if (!p)
                return -ENOMEM;
        (void) pthread_mutex_init(&p->lock, NULL);
        (void) pthread_cond_init(&p->changed, NULL);
        p->limit = limit;
        *ret = p;
        return 0;
}

static void drop_spare(PackPool *p) {
        Pack *k = p->spares;

        p->spares = k->next;
        p->used -= k->touched;
        pack_free(k);
}

PackPool *pack_pool_free(PackPool *p) {
        if (!p)
                return NULL;
        assert(!p->packers);

        while (p->spares)
                drop_spare(p);
        assert(p->used == 0);
        (void) pthread_cond_destroy(&p->changed);
        (void) pthread_mutex_destroy(&p->lock);
        return mfree(p);
}

size_t pack_pool_full(const PackPool *p, BlobType type) {
        size_t full = type == BLOB_TREE ? PACK_FULL_TREES : PACK_FULL;

        assert(p);

        return MAX(MIN(full, p->limit / (2 * MAX(p->n_packers, 1U))), PACK_FULL_MIN);
}

/* Memory is used again for data alone: packs of trees are seldom full. */
static bool is_usual(const PackBlob *b) {
        return b->type == BLOB_DATA && b->length <= PACK_ROOM;
}

bool pack_pool_has_room(PackPool *p, const Pack *k, const PackBlob *b) {
        assert(p);
        assert(b);

        for (;;) {
                const Pack *at = k ?: is_usual(b) ? p->spares :
                                                    NULL;
                size_t more = at ? MAX(at->used + b->length, at->touched) - at->touched : b->length;

                if (p->used + more <= p->limit || p->used == 0)
                        return true;
                if (!p->spares)
                        return false;
                drop_spare(p);
        }
}

static int pack_map(size_t capacity, Pack **ret) {
        Pack *k = new0(Pack, 1);
        void *data;

        if (!k)
                return -ENOMEM;
        data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                    0);
        if (data != MAP_FAILED) {
                k->data = data;
                k->capacity = capacity;
        }
        if (data == MAP_FAILED || sha256_new(&k->digest) < 0) {
                pack_free(k);
                return -ENOMEM;
        }
        *ret = k;
        return 0;
}

int pack_pool_get(PackPool *p, const PackBlob *b, Pack **ret) {
        int r;

        assert(p);
        assert(b);
        assert(ret);

        if (is_usual(b) && p->spares) {
                *ret = p->spares;
                p->spares = (*ret)->next;
                (*ret)->next = NULL;
                return 0;
        }
        r = pack_map(PACK_FULL + MAX((size_t) b->length, PACK_ROOM) + PACK_END, ret);
        if (r >= 0)
                (*ret)->again = is_usual(b);
        return r;
}

int pack_pool_add(PackPool *p, Pack *k, const PackBlob *b) {
        assert(p);
        assert(k);

        if (k->n_blobs == k->n_allocated) {
                size_t n = k->n_allocated == 0 ? 64 : 2 * k->n_allocated;
                PackBlob *grown = reallocarray(k->blobs, n, sizeof *grown);
                bool *filled = reallocarray(k->filled, n, sizeof *filled);

                if (grown)
                        k->blobs = grown;
                if (filled)
                        k->filled = filled;
                if (!grown || !filled)
                        return -ENOMEM;
                k->n_allocated = n;
        }
        k->blobs[k->n_blobs] = *b;
        k->filled[k->n_blobs] = false;
        k->blobs[k->n_blobs++].offset = (uint32_t) k->used;
        k->used += b->length;
        k->unfilled++;
        if (k->used > k->touched) {
                p->used += k->used - k->touched;
                p->most = MAX(p->most, p->used);
                k->touched = k->used;
        }
        return 0;
}

void pack_pool_put(PackPool *p, Pack *k) {
        assert(p);
        assert(k && k->unfilled == 0);

        (void) pthread_cond_broadcast(&p->changed);
        if (!k->again || p->used > p->limit) {
                p->used -= k->touched;
                pack_free(k);
                return;
        }
        k->used = k->n_blobs = k->n_whole = k->hashed = 0;
        k->closed = false;
        k->next = p->spares;
        p->spares = k;
}
