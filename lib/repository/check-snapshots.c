/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/check-run.h"
#include "repository/tree-walk.h"
#include "wire/path.h"

/* Marks every place of a blob as used. Gives whether it was before; -ENOENT: the index does not have it. */
static int use(CheckRun *r, BlobType type, const Id *id) {
        uint64_t cursor = 0;
        bool before = false;
        int n = 0;
        IndexEntry e;

        assert(r);

        while (repo_index_find(r->index, type, id, &cursor, &e)) {
                uint8_t bit = (uint8_t) (1U << e.number % 8);

                before = before || r->used[e.number / 8] & bit;
                r->used[e.number / 8] |= bit;
                n++;
        }
        return n > 0 ? before : -ENOENT;
}

static int check_file(CheckRun *r, const char *snapshot, const char *path, const TreeNode *n) {
        _cleanup_(freep) char *display = NULL;
        uint64_t missing = 0;

        for (size_t i = 0; i < n->n_content; i++)
                missing += use(r, BLOB_DATA, n->content + i) < 0;
        if (missing == 0)
                return 0;
        if (path_display(path, &display) < 0)
                return -ENOMEM;
        return check_problem(r,
                             "In snapshot %.16s the file /%s lacks %u of its %zu blobs: the index does not "
                             "have them",
                             snapshot, display, (unsigned) missing, n->n_content);
}

/* Trees that were seen in another snapshot, or elsewhere in this one, are not read again. */
static int check_tree(CheckRun *r, BlobReader *reader, const Id *root, const char *snapshot) {
        _cleanup_(tree_walk_freep) TreeWalk *walk = NULL;
        int k;

        if (use(r, BLOB_TREE, root) > 0)
                return 0;
        r->result->trees++;
        k = tree_walk_new(reader, root, &walk);
        while (k >= 0) {
                _cleanup_failure_ Failure f = FAILURE_NULL;
                _cleanup_(freep) char *display = NULL;
                const TreeNode *node;
                const char *path;

                if (check_is_cancelled(r))
                        return -ECANCELED;
                k = tree_walk_next(walk, &path, &node, &f);
                if (k == 0 || k == -ENOMEM || k == -ECANCELED)
                        return k;
                if (k < 0) {
                        if (path_display(path, &display) < 0)
                                return -ENOMEM;
                        k = check_problem(r, "In snapshot %.16s the directory /%s cannot be read: %s",
                                          snapshot,
                                          display, failure_message(&f, k));
                } else if (node->type == TREE_NODE_FILE)
                        k = check_file(r, snapshot, path, node);
                else if (node->has_subtree) {
                        if (use(r, BLOB_TREE, &node->subtree) > 0)
                                tree_walk_skip(walk);
                        else
                                r->result->trees++;
                }
        }
        return k;
}

typedef struct Snapshots {
        CheckRun *run;
        BlobReader *reader;
} Snapshots;

static int check_snapshot(void *userdata, const Id *id, uint64_t size) {
        Snapshots *s = ASSERT_PTR(userdata);
        _cleanup_(snapshot_done) Snapshot snapshot = SNAPSHOT_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        char hex[ID_HEX_SIZE];
        int r;

        s->run->result->snapshots++;
        r = repository_get_snapshot(s->run->args->repository, id, &snapshot, &f);
        if (r == -ENOENT) /* removed since the listing began */
                return 0;
        if (r == -ENOMEM || r == -ECANCELED)
                return r;
        if (r < 0)
                return check_problem(s->run, "%s", failure_message(&f, r));
        return check_tree(s->run, s->reader, &snapshot.tree, id_to_hex(id, hex));
}

int check_snapshots(CheckRun *r, Failure *reterr_failure) {
        Snapshots s = { .run = r };
        int k;

        assert(r);

        k = blob_reader_new(r->args->repository, r->index, &s.reader);
        if (k < 0)
                return k;
        k = repository_list(r->args->repository, REPO_FILE_SNAPSHOT, check_snapshot, &s, reterr_failure);
        (void) blob_reader_free(s.reader);
        return k;
}
