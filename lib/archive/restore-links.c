/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "archive/restore-links.h"
#include "base/alloc.h"
#include "crypto/random.h"

/* 32 MiB of table; growing to it holds half of that once more. */
#define SLOTS_MAX (UINT32_C(1) << 22)
#define SLOTS_FIRST 1024
#define ALIAS_BYTES_MAX (8U << 20)
#define ALIAS_BUCKETS 4096

typedef struct Alias Alias;

struct Alias {
        Alias *next;
        char *path; /* behind first, in the same allocation */
        char first[];
};

struct RestoreLinks {
        uint64_t seed;   /* so that no archive can be made whose paths collide */
        uint64_t *slots; /* hashes, 0: free */
        uint32_t n_slots, used;
        Alias *aliases[ALIAS_BUCKETS];
        size_t alias_bytes;
};

RestoreLinks *restore_links_free(RestoreLinks *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; i < ALIAS_BUCKETS; i++)
                while (l->aliases[i]) {
                        Alias *a = l->aliases[i];

                        l->aliases[i] = a->next;
                        free(a);
                }
        free(l->slots);
        return mfree(l);
}

int restore_links_new(RestoreLinks **ret) {
        _cleanup_(restore_links_freep) RestoreLinks *l = NULL;
        int r;

        assert(ret);

        l = new0(RestoreLinks, 1);
        if (!l)
                return -ENOMEM;
        r = random_bytes(&l->seed, sizeof(l->seed));
        if (r < 0)
                return r;
        l->slots = new0(uint64_t, SLOTS_FIRST);
        if (!l->slots)
                return -ENOMEM;
        l->n_slots = SLOTS_FIRST;
        *ret = TAKE_PTR(l);
        return 0;
}

static uint64_t mix(uint64_t v) {
        v ^= v >> 32;
        v *= UINT64_C(0xd6e8feb86659fd93);
        v ^= v >> 32;
        v *= UINT64_C(0xd6e8feb86659fd93);
        return v ^ v >> 32;
}

/* Never 0. */
static uint64_t hash_path(const RestoreLinks *l, const char *path) {
        uint64_t h = l->seed, v;
        size_t n = strlen(path);

        for (; n >= sizeof(v); n -= sizeof(v), path += sizeof(v)) {
                memcpy(&v, path, sizeof(v));
                h = mix(h ^ v) + l->seed;
        }
        v = 0;
        memcpy(&v, path, n);
        h = mix(h ^ v ^ (uint64_t) n << 56);
        return h ? h : 1;
}

static uint64_t *find_slot(uint64_t *slots, uint32_t n_slots, uint64_t hash) {
        uint32_t i = (uint32_t) hash & (n_slots - 1);

        while (slots[i] != 0 && slots[i] != hash)
                i = (i + 1) & (n_slots - 1);
        return slots + i;
}

static int grow(RestoreLinks *l) {
        uint64_t *slots = new0(uint64_t, 2 * (size_t) l->n_slots);

        if (!slots)
                return -ENOMEM;
        for (uint32_t i = 0; i < l->n_slots; i++)
                if (l->slots[i] != 0)
                        *find_slot(slots, 2 * l->n_slots, l->slots[i]) = l->slots[i];
        free(l->slots);
        l->slots = slots;
        l->n_slots *= 2;
        return 0;
}

int restore_links_add(RestoreLinks *l, const char *path) {
        uint64_t hash, *slot;
        int r;

        assert(l);
        assert(path);

        if (l->used >= l->n_slots / 4 * 3) {
                if (l->n_slots == SLOTS_MAX)
                        return 0;
                r = grow(l);
                if (r < 0)
                        return r;
        }
        hash = hash_path(l, path);
        slot = find_slot(l->slots, l->n_slots, hash);
        if (*slot == 0) {
                *slot = hash;
                l->used++;
        }
        return 0;
}

int restore_links_add_alias(RestoreLinks *l, const char *first, const char *path) {
        size_t n, k, bucket;
        Alias *a;

        assert(l);
        assert(first);
        assert(path);

        n = strlen(first) + 1;
        k = strlen(path) + 1;
        if (l->alias_bytes + sizeof(Alias) + n + k > ALIAS_BYTES_MAX)
                return 0;
        a = malloc(sizeof(Alias) + n + k);
        if (!a)
                return -ENOMEM;
        memcpy(a->first, first, n);
        a->path = memcpy(a->first + n, path, k);
        bucket = hash_path(l, first) % ALIAS_BUCKETS;
        a->next = l->aliases[bucket];
        l->aliases[bucket] = a;
        l->alias_bytes += sizeof(Alias) + n + k;
        return 0;
}

const char *restore_links_find(const RestoreLinks *l, const char *path) {
        uint64_t hash;

        assert(l);
        assert(path);

        hash = hash_path(l, path);
        if (*find_slot(l->slots, l->n_slots, hash) == hash)
                return path;
        for (const Alias *a = l->aliases[hash % ALIAS_BUCKETS]; a; a = a->next)
                if (strcmp(a->first, path) == 0)
                        return a->path;
        return NULL;
}
