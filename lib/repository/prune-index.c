/* SPDX-License-Identifier: Apache-2.0 */

/* An index file stays where every pack that it names does. Those that name a pack which goes are replaced,
 * and small ones as well where there are many: each backup makes one, and each costs a round trip to open
 * the repository. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/packer.h"
#include "repository/prune-run.h"

#define SMALL_BLOBS 1000
#define SMALL_MAX 8 /* so many may stay */

/* One index file, read for the packs that it names. */
typedef struct Reading {
        PruneRun *run;
        uint32_t *packs;
        size_t n, allocated;
        size_t n_blobs;
        bool goes; /* it names one that goes */
} Reading;

static void reading_done(Reading *g) {
        free(g->packs);
}

static int count_blob(void *userdata, const PackBlob *b) {
        Reading *g = ASSERT_PTR(userdata);

        g->n_blobs++;
        return 0;
}

static int note_pack(void *userdata, const Id *id) {
        Reading *g = ASSERT_PTR(userdata);
        uint32_t number, *grown;
        size_t n;

        if (repo_index_find_pack(g->run->index, id, &number) < 0)
                return -EBADMSG; /* it was read before */
        if (g->n == g->allocated) {
                n = MAX(2 * g->allocated, (size_t) 64);
                grown = reallocarray(g->packs, n, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                g->packs = grown;
                g->allocated = n;
        }
        g->packs[g->n++] = number;
        g->goes = g->goes || g->run->packs[number].action != PRUNE_KEEP;
        return 0;
}

static int read_index(Reading *g, const Id *id, uint64_t size, Failure *f) {
        static const IndexSink sink = { count_blob, note_pack, NULL };
        _cleanup_(repo_file_done) RepoFile file = REPO_FILE_NULL;
        int k;

        k = repository_get(g->run->args->repository, REPO_FILE_INDEX, id, size, &file, f);
        return k < 0 ? k : index_file_read(repo_file_read, &file, &sink, g, f);
}

static int classify(PruneRun *r, const IdSetItem *item, IdSet *go, IdSet *small, Failure *f) {
        _cleanup_(reading_done) Reading g = { .run = r };
        int k;

        k = read_index(&g, &item->id, item->size, f);
        if (k < 0)
                return k;
        if (g.goes)
                k = id_set_add(go, &item->id, item->size);
        else if (g.n_blobs < SMALL_BLOBS)
                k = id_set_add(small, &item->id, item->size);
        for (size_t i = 0; i < g.n; i++) {
                PrunePack *p = r->packs + g.packs[i];

                p->rewrite = p->rewrite || g.goes;
                p->small = p->small || (!g.goes && g.n_blobs < SMALL_BLOBS);
        }
        return k;
}

int prune_classify_indexes(PruneRun *r, IdSet *ret, Failure *reterr_failure) {
        _cleanup_(id_set_done) IdSet small = ID_SET_NULL;
        int k = 0;

        assert(r);
        assert(ret);

        for (size_t i = 0; k >= 0 && i < r->indexes.n; i++) {
                k = prune_go_on(r, reterr_failure);
                if (k >= 0)
                        k = classify(r, r->indexes.items + i, ret, &small, reterr_failure);
        }
        if (k < 0 || small.n <= SMALL_MAX)
                return k;
        for (size_t i = 0; k >= 0 && i < small.n; i++)
                k = id_set_add(ret, &small.items[i].id, small.items[i].size);
        for (size_t i = 0; i < r->n_packs; i++)
                r->packs[i].rewrite = r->packs[i].rewrite || r->packs[i].small;
        return k;
}

/* An index file that is being written. */
typedef struct Writing {
        Buffer json;
        IndexFileWriter writer;
        size_t n_blobs;
        bool begun;
} Writing;

static void writing_done(Writing *w) {
        buffer_done(&w->json);
}

static int write_end(PruneRun *r, Writing *w, Failure *f) {
        int k;

        if (!w->begun)
                return 0;
        k = index_file_end(&w->writer);
        if (k >= 0)
                k = prune_put_index(r, w->json.data, w->json.size, f);
        buffer_clear(&w->json);
        w->begun = false;
        w->n_blobs = 0;
        return k;
}

/* All that is known of the pack, so that the file may stand for any that named it. */
static int write_pack(PruneRun *r, Writing *w, size_t pack) {
        size_t n = r->starts[pack + 1] - r->starts[pack];
        _cleanup_(freep) PackBlob *blobs = new0(PackBlob, MAX(n, (size_t) 1));
        IndexEntry e;
        int k;

        if (!blobs)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                repo_index_get(r->index, r->order[r->starts[pack] + i], &e);
                blobs[i] = e.blob;
        }
        k = w->begun ? 0 : index_file_begin(&w->writer, &w->json, NULL, 0);
        w->begun = true;
        if (k >= 0)
                k = index_file_add(&w->writer, repo_index_pack(r->index, (uint32_t) pack), blobs, n);
        w->n_blobs += n;
        return k;
}

/* Packs of one kind: those that stay and were named by a file that goes, or those that were to go. */
static int write_packs(PruneRun *r, bool staying, Failure *f) {
        _cleanup_(writing_done) Writing w = { .json = BUFFER_NULL };
        int k = 0;

        for (size_t i = 0; k >= 0 && i < repo_index_n_packs(r->index); i++) {
                const PrunePack *p = r->packs + i;

                if (staying ? p->action != PRUNE_KEEP || !p->rewrite : p->action == PRUNE_KEEP || !p->listed)
                        continue;
                k = prune_go_on(r, f);
                if (k >= 0)
                        k = write_pack(r, &w, i);
                if (k >= 0 && w.n_blobs >= PACKER_INDEX_BLOBS)
                        k = write_end(r, &w, f);
        }
        return k < 0 ? k : write_end(r, &w, f);
}

int prune_write_indexes(PruneRun *r, Failure *reterr_failure) {
        assert(r);

        return write_packs(r, /* staying= */ true, reterr_failure);
}

int prune_restore_indexes(PruneRun *r, Failure *reterr_failure) {
        assert(r);

        return write_packs(r, /* staying= */ false, reterr_failure);
}

int prune_retain(PruneRun *r, const Id *index, Failure *reterr_failure) {
        _cleanup_(reading_done) Reading g = { .run = r };
        int k;

        assert(r);

        k = read_index(&g, index, UINT64_MAX, reterr_failure);
        for (size_t i = 0; k >= 0 && i < g.n; i++)
                if (r->packs[g.packs[i]].action != PRUNE_KEEP)
                        r->packs[g.packs[i]].action = PRUNE_RETAIN;
        return k;
}
