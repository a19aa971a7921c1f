#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Going through a snapshot: its objects in depth-first order, a directory before what is in it. Paths are
 * relative to the root of the file system, as in archive/member.h. */

#include "repository/blob.h"
#include "repository/tree.h"

typedef struct TreeWalk TreeWalk;

/* The reader outlives the walk. */
int tree_walk_new(BlobReader *reader, const Id *root, TreeWalk **ret) _warn_unused_;
TreeWalk *tree_walk_free(TreeWalk *w);
/* 1: the next object; path and node belong to the walk until the next call. 0: there are no more. Negative
 * errno: the directory at *ret_path cannot be read (any further); the next call goes on behind it. */
int tree_walk_next(TreeWalk *w, const char **ret_path, const TreeNode **ret_node, Failure *reterr_failure)
                _warn_unused_;
/* Does not go into the directory that came last. */
void tree_walk_skip(TreeWalk *w);

DEFINE_CLEANUP(TreeWalk *, tree_walk_free);

/* The object at path, which is not "". -ENOENT. */
int tree_find(BlobReader *reader, const Id *root, const char *path, TreeNode *ret, Failure *reterr_failure)
                _warn_unused_;

/* As the archive knows it: what a restore needs. path is copied. -EINVAL: a type that Linux does not have.
 * Content and size are not set. */
int tree_node_to_member(const TreeNode *n, const char *path, Member *ret) _warn_unused_;
