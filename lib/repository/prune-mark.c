/* SPDX-License-Identifier: Apache-2.0 */

/* What there is, and what of it is used. Packs are listed before indexes, and both after the lock: a pack
 * that is listed and in no index was left by a run that ended before it could say so. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/prune-run.h"
#include "repository/tree-walk.h"
#include "wire/path.h"

/* What a header takes in a pack beside its lines, and its lines. */
#define HEADER_OVERHEAD (CIPHER_OVERHEAD + PACK_TRAILER_SIZE)
#define LINE_PLAIN 37
#define LINE_COMPRESSED 41

static int add_pack(PruneRun *r, const Id *id, PrunePack **ret) {
        if (r->n_packs == r->allocated) {
                size_t n = MAX(2 * r->allocated, (size_t) 64);
                PrunePack *grown = reallocarray(r->packs, n, sizeof(PrunePack));

                if (!grown)
                        return -ENOMEM;
                r->packs = grown;
                r->allocated = n;
        }
        r->packs[r->n_packs] = (PrunePack){ .id = *id };
        *ret = r->packs + r->n_packs++;
        return 0;
}

static int load_indexes(PruneRun *r, Failure *f) {
        Repository *repository = r->args->repository;
        int k;

        k = id_set_list(&r->indexes, repository, REPO_FILE_INDEX, f);
        for (size_t i = 0; k >= 0 && i < r->indexes.n; i++) {
                _cleanup_(repo_file_done) RepoFile file = REPO_FILE_NULL;
                const IdSetItem *item = r->indexes.items + i;

                k = prune_go_on(r, f);
                if (k >= 0)
                        k = repository_get(repository, REPO_FILE_INDEX, &item->id, item->size, &file, f);
                if (k >= 0)
                        k = repo_index_load(r->index, repo_file_read, &file, f);
        }
        return k;
}

/* The packs of the index, and what each needs at least. */
static int add_indexed(PruneRun *r) {
        PrunePack *p;
        int k = 0;

        for (uint32_t i = 0; k >= 0 && i < repo_index_n_packs(r->index); i++) {
                k = add_pack(r, repo_index_pack(r->index, i), &p);
                if (k >= 0)
                        p->indexed = true;
        }
        for (size_t i = 0; k >= 0 && i < repo_index_n_blobs(r->index); i++) {
                IndexEntry e;

                repo_index_get(r->index, i, &e);
                p = r->packs + e.pack;
                p->least += e.blob.length + (e.blob.uncompressed_length > 0 ? LINE_COMPRESSED : LINE_PLAIN);
        }
        return k;
}

static int add_listed(PruneRun *r, const IdSet *listed) {
        int k = 0;

        for (size_t i = 0; k >= 0 && i < listed->n; i++) {
                const IdSetItem *item = listed->items + i;
                PrunePack *p = NULL;
                uint32_t number;

                if (repo_index_find_pack(r->index, &item->id, &number) >= 0)
                        p = r->packs + number;
                else
                        k = add_pack(r, &item->id, &p);
                if (k < 0)
                        return k;
                p->listed = true;
                p->size = item->size;
        }
        for (size_t i = 0; i < r->n_packs; i++)
                r->packs[i].least += HEADER_OVERHEAD;
        return 0;
}

static int collect(PruneRun *r, Failure *f) {
        Repository *repository = r->args->repository;
        _cleanup_(id_set_done) IdSet packs = ID_SET_NULL;
        size_t bytes;
        int k;

        k = id_set_list(&packs, repository, REPO_FILE_PACK, f);
        if (k >= 0)
                k = id_set_list(&r->snapshots, repository, REPO_FILE_SNAPSHOT, f);
        if (k >= 0)
                k = load_indexes(r, f);
        if (k >= 0)
                k = add_indexed(r);
        if (k >= 0)
                k = add_listed(r, &packs);
        if (k < 0)
                return k;
        bytes = repo_index_n_blobs(r->index) / 8 + 1;
        r->used = new0(uint8_t, bytes);
        r->chosen = new0(uint8_t, bytes);
        if (!r->used || !r->chosen)
                return -ENOMEM;
        r->result->snapshots = r->snapshots.n;
        if (r->snapshots.n == 0 && packs.n > 0 && !r->args->allow_empty)
                return failure_set(f, -ENODATA, "REPOSITORY_EMPTY",
                                   "The repository on %s has no snapshot and %zu packs: all of them would "
                                   "be removed, and nobody said that this is meant",
                                   storage_name(repository_storage(repository)), packs.n);
        return 0;
}

/* Marks every place of a blob. Gives whether it was marked before; -ENOENT: the index does not have it. */
static int use(PruneRun *r, BlobType type, const Id *id) {
        uint64_t cursor = 0;
        bool before = false, found = false;
        IndexEntry e;

        while (repo_index_find(r->index, type, id, &cursor, &e)) {
                before = before || bit_get(r->used, e.number);
                bit_set(r->used, e.number);
                found = true;
        }
        return found ? before : -ENOENT;
}

static int missing(const char *snapshot, const char *path, BlobType type, const Id *id, Failure *f) {
        _cleanup_(freep) char *display = NULL;
        char hex[ID_HEX_SIZE];

        if (path_display(path, &display) < 0)
                return -ENOMEM;
        return failure_set(f, -EBADMSG, "BLOB_MISSING",
                           "In snapshot %.16s /%s refers to the %s blob %.16s, which the index does not "
                           "have: check the repository before it is pruned",
                           snapshot, display, blob_type_to_string(type), id_to_hex(id, hex));
}

static int use_node(PruneRun *r, TreeWalk *walk, const char *snapshot, const char *path, const TreeNode *n,
                    Failure *f) {
        int k;

        for (size_t i = 0; i < n->n_content; i++)
                if (use(r, BLOB_DATA, n->content + i) < 0)
                        return missing(snapshot, path, BLOB_DATA, n->content + i, f);
        if (!n->has_subtree)
                return 0;
        k = use(r, BLOB_TREE, &n->subtree);
        if (k < 0)
                return missing(snapshot, path, BLOB_TREE, &n->subtree, f);
        if (k > 0)
                tree_walk_skip(walk);
        return 0;
}

/* Trees that were seen before are not read again. Any that cannot be read is the end. */
static int use_tree(PruneRun *r, BlobReader *reader, const Id *root, const char *snapshot, Failure *f) {
        _cleanup_(tree_walk_freep) TreeWalk *walk = NULL;
        const TreeNode *node;
        const char *path;
        int k;

        k = use(r, BLOB_TREE, root);
        if (k < 0)
                return missing(snapshot, "", BLOB_TREE, root, f);
        if (k > 0)
                return 0;
        k = tree_walk_new(reader, root, &walk);
        while (k >= 0) {
                k = prune_go_on(r, f);
                if (k >= 0)
                        k = tree_walk_next(walk, &path, &node, f);
                if (k <= 0)
                        return k == -ENOENT ? -EBADMSG : k;
                k = use_node(r, walk, snapshot, path, node, f);
        }
        return k;
}

int prune_mark(PruneRun *r, Failure *reterr_failure) {
        _cleanup_(blob_reader_freep) BlobReader *reader = NULL;
        int k;

        assert(r);

        k = collect(r, reterr_failure);
        if (k >= 0)
                k = blob_reader_new(r->args->repository, r->index, &reader);
        for (size_t i = 0; k >= 0 && i < r->snapshots.n; i++) {
                _cleanup_(snapshot_done) Snapshot s = SNAPSHOT_NULL;
                const Id *id = &r->snapshots.items[i].id;
                char hex[ID_HEX_SIZE];

                k = repository_get_snapshot(r->args->repository, id, &s, reterr_failure);
                if (k == -ENOENT && r->args->dry_run) { /* somebody removed it meanwhile */
                        if (reterr_failure)
                                failure_done(reterr_failure);
                        k = 0;
                        continue;
                }
                if (k >= 0)
                        k = use_tree(r, reader, &s.tree, id_to_hex(id, hex), reterr_failure);
        }
        return k;
}
