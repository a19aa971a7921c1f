#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The trees of the snapshot that a backup compares with, as far as a comparison needs them, and the thread
 * that reads them before they are asked for. */

#include "repository/index.h"
#include "repository/tree.h"

/* Gives the text of a tree, or, of a large one, what it is compressed to. */
typedef int (*ParentLoad)(void *userdata, const Id *tree, Buffer *ret, bool *ret_packed);

/* Where trees come from, and where their files have to be. */
typedef struct ParentFrom {
        ParentLoad load;
        void *userdata;
        const RepoIndex *const *indexes; /* of each repository; weak; nobody changes them */
        size_t n_indexes;
} ParentFrom;

typedef struct ParentNode {
        TreeNode node; /* brief */
        TreeText text;
        bool stored; /* all its content is in each of the indexes; false also where nobody looked */
} ParentNode;

typedef struct ParentTree {
        struct ParentTree *next; /* of those that were read ahead */
        Id id;
        Buffer text;
        bool packed;       /* so is the text */
        ParentNode *nodes; /* of a tree that is not large; else they are read one by one */
        size_t n_nodes, n_allocated;
        bool large;
        int error; /* negative: why it could not be read, behind the nodes */
} ParentTree;

/* -ENOMEM; all else is in the tree. */
int parent_tree_load(const ParentFrom *from, const Id *id, ParentTree **ret) _warn_unused_;
ParentTree *parent_tree_free(ParentTree *t);
/* Reads the nodes of a tree, which outlives it, brief. */
int parent_tree_read(const ParentTree *t, TreeReader **ret) _warn_unused_;

DEFINE_CLEANUP(ParentTree *, parent_tree_free);

/* Reads the trees in the order in which a walk enters them, some in advance. */
typedef struct ParentAhead ParentAhead;

/* Of from, load is called by a thread of its own, which looks into the indexes, too. */
int parent_ahead_new(const Id *root, const ParentFrom *from, ParentAhead **ret) _warn_unused_;
ParentAhead *parent_ahead_free(ParentAhead *a);
/* The tree of this name, and none that came before it is wanted any more. -ENOENT: it does not come. */
int parent_ahead_take(ParentAhead *a, const Id *id, ParentTree **ret) _warn_unused_;
/* Takes back what nobody needs any more: the thread has the time to free it. */
void parent_ahead_give(ParentAhead *a, ParentTree *t);

DEFINE_CLEANUP(ParentAhead *, parent_ahead_free);
