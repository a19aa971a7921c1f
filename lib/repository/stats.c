/* SPDX-License-Identifier: Apache-2.0 */
#include "repository/stats.h"
#include "repository/tree-walk.h"

typedef struct Counting {
        RepositoryStats stats;
        BlobReader *reader;
        Failure *failure;
} Counting;

static int count_snapshot(void *userdata, const Id *id, Snapshot *s) {
        _cleanup_(tree_walk_freep) TreeWalk *walk = NULL;
        Counting *c = ASSERT_PTR(userdata);
        const TreeNode *node;
        const char *path;
        int r;

        c->stats.snapshots++;
        r = tree_walk_new(c->reader, &s->tree, &walk);
        while (r >= 0) {
                r = tree_walk_next(walk, &path, &node, c->failure);
                if (r <= 0)
                        break;
                if (node->type != TREE_NODE_FILE)
                        continue;
                c->stats.files++;
                c->stats.bytes += node->size;
        }
        return r;
}

/* A blob counts at the first place that the index has of it. */
static void count_blobs(const RepoIndex *x, RepositoryStats *s) {
        assert(x);
        assert(s);

        for (size_t i = 0; i < repo_index_n_blobs(x); i++) {
                uint64_t cursor = 0;
                IndexEntry e, first;

                repo_index_get(x, i, &e);
                if (!repo_index_find(x, e.blob.type, &e.blob.id, &cursor, &first) || first.number != i) {
                        s->bytes_stored_more += e.blob.length;
                        continue;
                }
                s->blobs++;
                s->bytes_plain += pack_blob_plain_length(&e.blob);
                s->bytes_stored += e.blob.length;
        }
}

int repository_stats(Repository *r, RepositoryStats *ret, Failure *reterr_failure) {
        _cleanup_(repo_index_freep) RepoIndex *index = NULL;
        Counting c = { .failure = reterr_failure };
        int k;

        assert(r);
        assert(ret);

        k = repo_index_new(&index);
        if (k >= 0)
                k = repository_load_index(r, index, reterr_failure);
        if (k >= 0)
                k = blob_reader_new(r, index, &c.reader);
        if (k < 0)
                return k;
        count_blobs(index, &c.stats);
        k = repository_list_snapshots(r, count_snapshot, &c, reterr_failure);
        (void) blob_reader_free(c.reader);
        if (k < 0)
                return k;
        *ret = c.stats;
        return 0;
}
