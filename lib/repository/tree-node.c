/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/text.h"
#include "repository/tree-node.h"

static const char *const tree_node_type_table[] = {
        [TREE_NODE_FILE] = "file",
        [TREE_NODE_DIRECTORY] = "dir",
        [TREE_NODE_SYMLINK] = "symlink",
        [TREE_NODE_BLOCK] = "dev",
        [TREE_NODE_CHARACTER] = "chardev",
        [TREE_NODE_FIFO] = "fifo",
        [TREE_NODE_SOCKET] = "socket",
        [TREE_NODE_IRREGULAR] = "irregular",
};
DEFINE_STRING_TABLE(tree_node_type, TreeNodeType);

void tree_node_done(TreeNode *n) {
        assert(n);

        free(n->name);
        free(n->user);
        free(n->group);
        free(n->target);
        for (size_t i = 0; i < n->n_xattrs; i++) {
                free(n->xattrs[i].name);
                free(n->xattrs[i].value);
        }
        free(n->xattrs);
        free(n->content);
        *n = TREE_NODE_NULL;
}

bool tree_name_is_valid(const char *name) {
        return !isempty(name) && !streq(name, ".") && !streq(name, "..") && !strchr(name, '/');
}
