/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/parent-tree.h"

/* Nodes take as much memory as their text: of a larger one they are read one by one. */
#define LARGE ((size_t) 2 << 20)

ParentTree *parent_tree_free(ParentTree *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_nodes; i++)
                tree_node_done(&t->nodes[i].node);
        free(t->nodes);
        buffer_done(&t->text);
        return mfree(t);
}

int parent_tree_read(const ParentTree *t, TreeReader **ret) {
        assert(t);

        return (t->packed ? tree_reader_new_packed : tree_reader_new_text)(t->text.data, t->text.size,
                                                                           /* brief= */ true, ret);
}

static int add_node(ParentTree *t, ParentNode *n) {
        if (t->n_nodes == t->n_allocated) {
                size_t more = MAX(2 * t->n_allocated, (size_t) 4);
                ParentNode *grown = reallocarray(t->nodes, more, sizeof(ParentNode));

                if (!grown)
                        return -ENOMEM;
                t->nodes = grown;
                t->n_allocated = more;
        }
        t->nodes[t->n_nodes++] = *n;
        n->node = TREE_NODE_NULL;
        return 0;
}

/* Whether each repository has all content of a file. */
static bool is_stored(const ParentFrom *from, const TreeNode *n) {
        assert(n);

        for (size_t i = 0; i < n->n_content; i++)
                for (size_t k = 0; k < from->n_indexes; k++)
                        if (!repo_index_has(from->indexes[k], BLOB_DATA, &n->content[i]))
                                return false;
        return from->n_indexes > 0;
}

static int read_nodes(const ParentFrom *from, ParentTree *t) {
        _cleanup_(tree_reader_freep) TreeReader *reader = NULL;
        _cleanup_(tree_node_done) TreeNode node = TREE_NODE_NULL;
        int r;

        assert(t);

        r = parent_tree_read(t, &reader);
        while (r >= 0) {
                ParentNode n;

                r = tree_reader_next(reader, &node, /* reterr_failure= */ NULL);
                if (r <= 0)
                        break;
                n.node = node;
                node = TREE_NODE_NULL;
                n.stored = is_stored(from, &n.node);
                tree_reader_text(reader, &n.text);
                r = add_node(t, &n);
                tree_node_done(&n.node);
        }
        return r;
}

int parent_tree_load(const ParentFrom *from, const Id *id, ParentTree **ret) {
        ParentTree *t;

        assert(from && from->load);
        assert(id);
        assert(ret);

        t = new0(ParentTree, 1);
        if (!t)
                return -ENOMEM;
        t->id = *id;
        t->error = from->load(from->userdata, id, &t->text, &t->packed);
        t->packed = t->packed && t->error >= 0;
        t->large = t->packed || t->text.size > LARGE;
        if (t->error >= 0 && !t->large)
                t->error = read_nodes(from, t);
        *ret = t;
        return 0;
}
