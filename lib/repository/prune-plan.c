/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/prune-run.h"

/* Whether what the index says of it can be read there. */
static bool is_whole(const PrunePack *p) {
        return p->listed && p->size >= p->least;
}

static int lost(const PruneRun *r, const IndexEntry *e, Failure *f) {
        char blob[ID_HEX_SIZE], pack[ID_HEX_SIZE];
        const PrunePack *p = r->packs + e->pack;

        return failure_set(f, -EBADMSG, "PACK_MISSING",
                           "The pack %.16s with the %s blob %.16s, which a snapshot needs, is %s: check the "
                           "repository before it is pruned",
                           id_to_hex(&p->id, pack), blob_type_to_string(e->blob.type),
                           id_to_hex(&e->blob.id, blob), p->listed ? "cut off" : "missing");
}

/* The best place of a blob: in the pack of which most is used already. Gives how many there are. */
static size_t best_place(const PruneRun *r, const IndexEntry *first, IndexEntry *ret) {
        uint64_t cursor = 0;
        size_t n = 0;
        IndexEntry e;

        while (repo_index_find(r->index, first->blob.type, &first->blob.id, &cursor, &e)) {
                if (!is_whole(r->packs + e.pack))
                        continue;
                if (n++ == 0 || r->packs[e.pack].used > r->packs[ret->pack].used)
                        *ret = e;
        }
        return n;
}

static bool is_first_place(const PruneRun *r, const IndexEntry *e) {
        uint64_t cursor = 0;
        IndexEntry first;

        return repo_index_find(r->index, e->blob.type, &e->blob.id, &cursor, &first) &&
                        first.number == e->number;
}

/* Blobs with one place come first, and say which packs remain; those with several go where these are. */
static int choose_places(PruneRun *r, bool single, Failure *f) {
        for (size_t i = 0; i < repo_index_n_blobs(r->index); i++) {
                IndexEntry e, best;
                size_t n;

                if (!bit_get(r->used, i))
                        continue;
                repo_index_get(r->index, i, &e);
                if (!is_first_place(r, &e))
                        continue;
                n = best_place(r, &e, &best);
                if (n == 0)
                        return lost(r, &e, f);
                if ((n == 1) != single)
                        continue;
                bit_set(r->chosen, best.number);
                r->packs[best.pack].used += best.blob.length;
        }
        return 0;
}

/* What is not chosen of each pack, and the places of each pack in order. */
static int sort_places(PruneRun *r) {
        size_t n = repo_index_n_blobs(r->index), n_packs = repo_index_n_packs(r->index);
        IndexEntry e;

        r->order = new0(uint32_t, MAX(n, (size_t) 1));
        r->starts = new0(size_t, n_packs + 2);
        if (!r->order || !r->starts)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                repo_index_get(r->index, i, &e);
                r->starts[e.pack + 2]++;
                if (bit_get(r->chosen, i)) {
                        r->result->blobs_used++;
                        continue;
                }
                r->packs[e.pack].unused += e.blob.length;
                r->result->blobs_duplicate += bit_get(r->used, i);
                r->result->blobs_unused += !bit_get(r->used, i);
        }
        for (size_t i = 2; i < n_packs + 2; i++)
                r->starts[i] += r->starts[i - 1];
        for (size_t i = 0; i < n; i++) {
                repo_index_get(r->index, i, &e);
                r->order[r->starts[e.pack + 1]++] = (uint32_t) i;
        }
        return 0;
}

/* Most unused by share first. */
static int compare_share(const void *a, const void *b) {
        const PrunePack *x = *(PrunePack *const *) a, *y = *(PrunePack *const *) b;
        double p = (double) x->unused * (double) (y->used + y->unused);
        double q = (double) y->unused * (double) (x->used + x->unused);

        return p > q ? -1 : p < q ? 1 :
                                    id_compare(&x->id, &y->id);
}

void prune_choose(PrunePack *const *candidates, size_t n, uint64_t used, uint64_t unused, unsigned percent,
                  uint64_t repack_max) {
        /* Of what remains; all of it may be unused at 100. */
        double allowed = percent >= 100 ? (double) UINT64_MAX : (double) used * percent / (100 - percent);
        uint64_t moved = 0;

        assert(candidates || n == 0);

        for (size_t i = 0; i < n && (double) unused > allowed; i++) {
                PrunePack *p = candidates[i];

                if (p->used > repack_max - moved)
                        continue;
                p->action = PRUNE_MOVE;
                moved += p->used;
                unused -= p->unused;
        }
}

static int choose_packs(PruneRun *r) {
        _cleanup_(freep) PrunePack **candidates = new0(PrunePack *, MAX(r->n_packs, (size_t) 1));
        uint64_t used = 0, unused = 0;
        size_t n = 0;

        if (!candidates)
                return -ENOMEM;
        for (size_t i = 0; i < r->n_packs; i++) {
                PrunePack *p = r->packs + i;

                used += p->used;
                if (p->used == 0)
                        p->action = PRUNE_REMOVE;
                else if (p->unused > 0) {
                        candidates[n++] = p;
                        unused += p->unused;
                }
        }
        qsort(candidates, n, sizeof(*candidates), compare_share);
        prune_choose(candidates, n, used, unused, r->args->unused_percent, r->args->repack_max);
        return 0;
}

static void count(PruneRun *r) {
        RepositoryPruneResult *result = r->result;

        for (size_t i = 0; i < r->n_packs; i++) {
                const PrunePack *p = r->packs + i;

                if (p->action == PRUNE_KEEP) {
                        result->packs_kept++;
                        result->bytes_kept += p->size;
                        result->bytes_kept_unused += p->unused;
                        continue;
                }
                result->packs_unindexed += !p->indexed;
                result->packs_repacked += p->action == PRUNE_MOVE;
                result->bytes_repacked += p->action == PRUNE_MOVE ? p->used : 0;
                if (r->args->dry_run && p->listed) {
                        result->packs_removed++;
                        result->bytes_removed += p->size;
                }
        }
}

int prune_plan(PruneRun *r, Failure *reterr_failure) {
        int k;

        assert(r);

        k = choose_places(r, /* single= */ true, reterr_failure);
        if (k >= 0)
                k = choose_places(r, /* single= */ false, reterr_failure);
        if (k >= 0)
                k = sort_places(r);
        if (k >= 0)
                k = choose_packs(r);
        if (k < 0)
                return k;
        count(r);
        return 0;
}
