/* SPDX-License-Identifier: Apache-2.0 */

/* Blobs are copied as they are sealed: nothing is compressed anew, and each is opened and compared with its
 * digest first. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/packer.h"
#include "repository/prune-run.h"

int prune_put_index(PruneRun *r, const void *json, size_t n, Failure *reterr_failure) {
        Id id;
        int k;

        assert(r);

        k = repository_put(r->args->repository, REPO_FILE_INDEX, json, n, &id, reterr_failure);
        if (k >= 0)
                k = id_set_add(&r->own, &id, UINT64_MAX);
        if (k < 0)
                return k;
        r->result->indexes_written++;
        return 0;
}

/* From a thread of the packer, while this one waits or copies. */
static int put_index(void *userdata, const void *json, size_t n, Failure *reterr_failure) {
        PruneRun *r = ASSERT_PTR(userdata);
        JsonPullMemory source = { json, n };
        int k;

        k = prune_put_index(r, json, n, reterr_failure);
        return k < 0 ? k : repo_index_load(r->fresh, json_pull_memory, &source, reterr_failure);
}

static int compare_offset(const void *a, const void *b, void *userdata) {
        const RepoIndex *x = userdata;
        IndexEntry p, q;

        repo_index_get(x, *(const uint32_t *) a, &p);
        repo_index_get(x, *(const uint32_t *) b, &q);
        return p.blob.offset < q.blob.offset ? -1 : p.blob.offset > q.blob.offset;
}

static int copy_blob(BlobReader *reader, Packer *packer, uint32_t place, Failure *f) {
        const uint8_t *sealed;
        PackSlot slot;
        PackBlob b;
        int k;

        k = blob_reader_get_sealed(reader, place, &b, &sealed, f);
        if (k < 0)
                return k;
        k = packer_reserve(packer, &b, &slot);
        if (k < 0)
                return packer_error(packer, f) < 0 ? packer_error(packer, NULL) : k;
        memcpy(slot.data, sealed, b.length);
        packer_filled(packer, &slot);
        return 0;
}

static int copy_pack(PruneRun *r, BlobReader *reader, Packer *packer, size_t pack, Failure *f) {
        size_t n = r->starts[pack + 1] - r->starts[pack];
        uint32_t *places = r->order + r->starts[pack];
        int k = 0;

        qsort_r(places, n, sizeof(*places), compare_offset, r->index);
        for (size_t i = 0; k >= 0 && i < n; i++) {
                if (!bit_get(r->chosen, places[i]))
                        continue;
                k = prune_go_on(r, f);
                if (k >= 0)
                        k = copy_blob(reader, packer, places[i], f);
        }
        return k;
}

static int copy_packs(PruneRun *r, Packer *packer, Failure *f) {
        _cleanup_(blob_reader_freep) BlobReader *reader = NULL;
        int k;

        k = blob_reader_new(r->args->repository, r->index, &reader);
        for (size_t i = 0; k >= 0 && i < repo_index_n_packs(r->index); i++)
                if (r->packs[i].action == PRUNE_MOVE)
                        k = copy_pack(r, reader, packer, i, f);
        return k;
}

int prune_repack(PruneRun *r, Failure *reterr_failure) {
        _cleanup_(packer_freep) Packer *packer = NULL;
        PackerArgs args = {
                .storage = repository_storage(r->args->repository),
                .prefix = repository_prefix(r->args->repository),
                .key = repository_key(r->args->repository),
                .uploads = MAX(r->args->uploads, 1U),
                .index_interval = PACKER_INDEX_INTERVAL,
                .put_index = put_index,
                .userdata = r,
        };
        int k;

        assert(r);

        if (r->result->packs_repacked == 0)
                return 0;
        k = packer_new(&args, &packer);
        if (k >= 0)
                k = copy_packs(r, packer, reterr_failure);
        if (k >= 0 && packer_finish(packer) < 0)
                k = packer_error(packer, reterr_failure);
        if (packer)
                r->result->bytes_written = packer_stored(packer);
        return k;
}
