#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One object of a file system as a repository keeps it: an element of a tree. Names and targets are raw
 * bytes without NUL. */

#include "archive/member.h"
#include "repository/id.h"
#include "repository/moment.h"

typedef enum TreeNodeType {
        TREE_NODE_FILE,
        TREE_NODE_DIRECTORY,
        TREE_NODE_SYMLINK,
        TREE_NODE_BLOCK,
        TREE_NODE_CHARACTER,
        TREE_NODE_FIFO,
        TREE_NODE_SOCKET,
        TREE_NODE_IRREGULAR, /* of other systems; and what we do not know */
        _TREE_NODE_TYPE_MAX,
        _TREE_NODE_TYPE_INVALID = -22, /* -EINVAL */
} TreeNodeType;

/* As in the tree: "file", "dir", "symlink", "dev", "chardev", "fifo", "socket", "irregular". */
DECLARE_STRING_TABLE(tree_node_type, TreeNodeType);

typedef struct TreeNode {
        char *name;
        TreeNodeType type;
        uint32_t mode; /* permissions and set-id bits: 07777 */
        Moment mtime, atime, ctime;
        uint32_t uid, gid;
        char *user, *group; /* NULL: the number has no name */
        uint64_t inode;
        uint64_t device_id; /* st_dev */
        uint64_t size;      /* of files */
        uint64_t links;
        char *target;    /* of symlinks */
        uint64_t device; /* st_rdev, of device nodes */
        Xattr *xattrs;   /* ACLs among them, as the kernel gives them; names are UTF-8 */
        size_t n_xattrs;
        Id *content; /* of files: their data blobs, in order */
        size_t n_content;
        bool has_subtree;
        Id subtree; /* of directories */
} TreeNode;

#define TREE_NODE_NULL ((TreeNode){})
void tree_node_done(TreeNode *n);

/* Whether an object may be called so: not empty, not "." or "..", no '/'. */
bool tree_name_is_valid(const char *name);
