/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "crypto/random.h"
#include "repository/index.h"

/* Places are in blocks that never move, found by two open-addressing tables of numbers: one of places by
 * blob, one of packs by id. Ids are digests, but whoever chooses the content of files chooses digests with
 * equal first bytes as well; so they are mixed with a random number. */

#define BLOCK_SHIFT 12
#define BLOCK_SIZE (UINT32_C(1) << BLOCK_SHIFT)
#define SLOTS_FIRST 1024
#define PLACES_MAX (UINT32_C(1) << 31)
#define TREE_BIT (UINT32_C(1) << 31) /* of pack: it is a tree */

typedef struct PlaceOfBlob {
        Id id;
        uint32_t pack, offset, length, uncompressed_length;
} PlaceOfBlob;

/* Numbers of things plus one; 0: free. */
typedef struct Slots {
        uint32_t *items;
        size_t n; /* a power of two */
} Slots;

struct RepoIndex {
        uint64_t seed[2];
        PlaceOfBlob **blocks;
        size_t n_blocks, n_places;
        Slots places;
        Id *packs;
        size_t n_packs, packs_allocated;
        Slots by_pack;
        Id *superseded;
        size_t n_superseded;
};

RepoIndex *repo_index_free(RepoIndex *x) {
        if (!x)
                return NULL;
        for (size_t i = 0; i < x->n_blocks; i++)
                free(x->blocks[i]);
        free(x->blocks);
        free(x->places.items);
        free(x->packs);
        free(x->by_pack.items);
        free(x->superseded);
        return mfree(x);
}

int repo_index_new(RepoIndex **ret) {
        _cleanup_(repo_index_freep) RepoIndex *x = NULL;
        int r;

        assert(ret);

        x = new0(RepoIndex, 1);
        if (!x)
                return -ENOMEM;
        r = random_bytes(x->seed, sizeof(x->seed));
        if (r < 0)
                return r;
        x->places.items = new0(uint32_t, SLOTS_FIRST);
        x->by_pack.items = new0(uint32_t, SLOTS_FIRST);
        if (!x->places.items || !x->by_pack.items)
                return -ENOMEM;
        x->places.n = x->by_pack.n = SLOTS_FIRST;
        *ret = TAKE_PTR(x);
        return 0;
}

static size_t hash_id(const RepoIndex *x, const Id *id) {
        uint64_t a, b;

        memcpy(&a, id->bytes, sizeof(a));
        memcpy(&b, id->bytes + sizeof(a), sizeof(b));
        a = (a ^ x->seed[0]) * UINT64_C(0xd6e8feb86659fd93);
        b = (b ^ x->seed[1]) * UINT64_C(0xa0761d6478bd642f);
        a ^= b >> 29 ^ b << 35;
        a *= UINT64_C(0xe7037ed1a0b428db);
        return (size_t) (a ^ a >> 32);
}

static PlaceOfBlob *place_at(const RepoIndex *x, size_t i) {
        return x->blocks[i >> BLOCK_SHIFT] + (i & (BLOCK_SIZE - 1));
}

static void fill_slot(Slots *s, size_t hash, uint32_t number) {
        size_t i = hash & (s->n - 1);

        while (s->items[i] != 0)
                i = (i + 1) & (s->n - 1);
        s->items[i] = number + 1;
}

static const Id *id_of_place(const RepoIndex *x, size_t i) {
        return &place_at(x, i)->id;
}

static const Id *id_of_pack(const RepoIndex *x, size_t i) {
        return x->packs + i;
}

/* Makes room in a table that holds the numbers below used, at most four fifths of it. */
static int grow_slots(const RepoIndex *x, Slots *s, size_t used,
                      const Id *(*get)(const RepoIndex *x, size_t i)) {
        Slots grown;

        assert(s);

        if (used < s->n / 5 * 4)
                return 0;
        grown = (Slots){ new0(uint32_t, 2 * s->n), 2 * s->n };
        if (!grown.items)
                return -ENOMEM;
        for (size_t i = 0; i < used; i++)
                fill_slot(&grown, hash_id(x, get(x, i)), (uint32_t) i);
        free(s->items);
        *s = grown;
        return 0;
}

int repo_index_find_pack(const RepoIndex *x, const Id *id, uint32_t *ret) {
        size_t i;

        assert(x);
        assert(id);
        assert(ret);

        for (i = hash_id(x, id) & (x->by_pack.n - 1); x->by_pack.items[i] != 0;
             i = (i + 1) & (x->by_pack.n - 1))
                if (id_equal(x->packs + x->by_pack.items[i] - 1, id)) {
                        *ret = x->by_pack.items[i] - 1;
                        return 0;
                }
        return -ENOENT;
}

int repo_index_add_pack(RepoIndex *x, const Id *pack, uint32_t *ret) {
        int r;

        assert(x);
        assert(pack);
        assert(ret);

        if (repo_index_find_pack(x, pack, ret) >= 0)
                return 0;
        if (x->n_packs == TREE_BIT - 1)
                return -EOVERFLOW;
        r = grow_slots(x, &x->by_pack, x->n_packs, id_of_pack);
        if (r < 0)
                return r;
        if (x->n_packs == x->packs_allocated) {
                size_t n = MAX(x->packs_allocated + x->packs_allocated / 2, (size_t) 64);
                Id *grown = reallocarray(x->packs, n, sizeof(Id));

                if (!grown)
                        return -ENOMEM;
                x->packs = grown;
                x->packs_allocated = n;
        }
        x->packs[x->n_packs] = *pack;
        fill_slot(&x->by_pack, hash_id(x, pack), (uint32_t) x->n_packs);
        *ret = (uint32_t) x->n_packs++;
        return 0;
}

/* Room for one more place; gives it, zeroed or not. */
static int next_place(RepoIndex *x, PlaceOfBlob **ret) {
        assert(x);
        assert(ret);

        if (x->n_places == PLACES_MAX)
                return -EOVERFLOW;
        if (x->n_places >> BLOCK_SHIFT == x->n_blocks) {
                PlaceOfBlob **blocks = reallocarray(x->blocks, x->n_blocks + 1, sizeof(PlaceOfBlob *));

                if (!blocks)
                        return -ENOMEM;
                x->blocks = blocks;
                blocks[x->n_blocks] = malloc(BLOCK_SIZE * sizeof(PlaceOfBlob));
                if (!blocks[x->n_blocks])
                        return -ENOMEM;
                x->n_blocks++;
        }
        *ret = place_at(x, x->n_places);
        return 0;
}

static void get_entry(const RepoIndex *x, size_t i, IndexEntry *ret) {
        const PlaceOfBlob *p = place_at(x, i);

        ret->blob = (PackBlob){
                .id = p->id,
                .type = p->pack & TREE_BIT ? BLOB_TREE : BLOB_DATA,
                .offset = p->offset,
                .length = p->length,
                .uncompressed_length = p->uncompressed_length,
        };
        ret->pack = p->pack & ~TREE_BIT;
        ret->number = (uint32_t) i;
}

int repo_index_add(RepoIndex *x, uint32_t pack, const PackBlob *b) {
        uint64_t cursor = 0;
        PlaceOfBlob *p;
        IndexEntry e;
        int r;

        assert(x);
        assert(pack < x->n_packs);
        assert(b);

        while (repo_index_find(x, b->type, &b->id, &cursor, &e))
                if (e.pack == pack && e.blob.offset == b->offset)
                        return 0;
        r = next_place(x, &p);
        if (r < 0)
                return r;
        r = grow_slots(x, &x->places, x->n_places, id_of_place);
        if (r < 0)
                return r;
        *p = (PlaceOfBlob){
                .id = b->id,
                .pack = pack | (b->type == BLOB_TREE ? TREE_BIT : 0),
                .offset = b->offset,
                .length = b->length,
                .uncompressed_length = b->uncompressed_length,
        };
        fill_slot(&x->places, hash_id(x, &b->id), (uint32_t) x->n_places);
        x->n_places++;
        return 1;
}

/* The cursor is how many slots were looked at. */
bool repo_index_find(const RepoIndex *x, BlobType type, const Id *id, uint64_t *cursor, IndexEntry *ret) {
        size_t hash;

        assert(x);
        assert(id);
        assert(cursor);

        hash = hash_id(x, id);
        for (;;) {
                uint32_t number = x->places.items[(hash + *cursor) & (x->places.n - 1)];
                const PlaceOfBlob *p;

                if (number == 0)
                        return false;
                (*cursor)++;
                p = place_at(x, number - 1);
                if ((p->pack & TREE_BIT) == (type == BLOB_TREE ? TREE_BIT : 0) && id_equal(&p->id, id)) {
                        if (ret)
                                get_entry(x, number - 1, ret);
                        return true;
                }
        }
}

bool repo_index_has(const RepoIndex *x, BlobType type, const Id *id) {
        uint64_t cursor = 0;

        return repo_index_find(x, type, id, &cursor, NULL);
}

size_t repo_index_n_blobs(const RepoIndex *x) {
        assert(x);

        return x->n_places;
}

size_t repo_index_n_packs(const RepoIndex *x) {
        assert(x);

        return x->n_packs;
}

const Id *repo_index_pack(const RepoIndex *x, uint32_t pack) {
        assert(x);
        assert(pack < x->n_packs);

        return x->packs + pack;
}

void repo_index_get(const RepoIndex *x, size_t i, IndexEntry *ret) {
        assert(x);
        assert(i < x->n_places);
        assert(ret);

        get_entry(x, i, ret);
}

const Id *repo_index_superseded(const RepoIndex *x, size_t *ret_n) {
        assert(x);
        assert(ret_n);

        *ret_n = x->n_superseded;
        return x->superseded;
}

size_t repo_index_memory(const RepoIndex *x) {
        assert(x);

        return sizeof(*x) + x->n_blocks * (sizeof(PlaceOfBlob *) + BLOCK_SIZE * sizeof(PlaceOfBlob)) +
                        (x->places.n + x->by_pack.n) * sizeof(uint32_t) +
                        (x->packs_allocated + x->n_superseded) * sizeof(Id);
}

/* --- Reading a file ---------------------------------------------------------------------------------- */

/* The blobs of a pack come before its id, or behind it: they wait for it here. */
typedef struct Loading {
        RepoIndex *index;
        PackBlob *blobs;
        size_t n, allocated;
} Loading;

static void loading_done(Loading *l) {
        free(l->blobs);
}

static int load_blob(void *userdata, const PackBlob *b) {
        Loading *l = ASSERT_PTR(userdata);

        if (l->n == l->allocated) {
                size_t n = MAX(2 * l->allocated, (size_t) 256);
                PackBlob *grown = reallocarray(l->blobs, n, sizeof(PackBlob));

                if (!grown)
                        return -ENOMEM;
                l->blobs = grown;
                l->allocated = n;
        }
        l->blobs[l->n++] = *b;
        return 0;
}

static int load_pack(void *userdata, const Id *id) {
        Loading *l = ASSERT_PTR(userdata);
        uint32_t pack;
        int r;

        r = repo_index_add_pack(l->index, id, &pack);
        for (size_t i = 0; i < l->n && r >= 0; i++)
                r = repo_index_add(l->index, pack, l->blobs + i);
        l->n = 0;
        return r < 0 ? r : 0;
}

static int load_superseded(void *userdata, const Id *id) {
        Loading *l = ASSERT_PTR(userdata);
        RepoIndex *x = l->index;
        Id *grown;

        grown = reallocarray(x->superseded, x->n_superseded + 1, sizeof(Id));
        if (!grown)
                return -ENOMEM;
        x->superseded = grown;
        grown[x->n_superseded++] = *id;
        return 0;
}

int repo_index_load(RepoIndex *x, JsonPullRead read, void *source, Failure *reterr_failure) {
        static const IndexSink sink = { load_blob, load_pack, load_superseded };
        _cleanup_(loading_done) Loading l = { .index = x };

        assert(x);
        assert(read);

        return index_file_read(read, source, &sink, &l, reterr_failure);
}
