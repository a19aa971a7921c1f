#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Trees: the JSON of one directory, read and written node by node. A tree is called by the SHA-256 of its
 * text, so equal directories have to give equal text: ours is what Go's encoder writes, byte for byte, with
 * names in the order of their bytes. */

#include "base/buffer.h"
#include "base/failure.h"
#include "repository/json-pull.h"
#include "repository/tree-node.h"

/* Blobs of one file: 16 TiB of blobs of 1 MiB, half a GiB of memory. */
#define TREE_CONTENT_MAX ((size_t) 1 << 24)
#define TREE_XATTRS_MAX 4096
#define TREE_NAME_MAX 4096 /* bytes of a name; Linux has 255 */
/* Text that is held as a whole, some 10,000 to 20,000 objects; more stays compressed where it can. */
#define TREE_WHOLE_MAX ((size_t) 8 << 20)

typedef struct TreeReader TreeReader;

int tree_reader_new(JsonPullRead read, void *source, TreeReader **ret) _warn_unused_;
/* Of a tree in memory, which outlives it. brief: of a node there is no more than its name, type, times of
 * modification and of change, inode, device, size, content and subtree; the rest is only read over. */
int tree_reader_new_text(const char *text, size_t n, bool brief, TreeReader **ret) _warn_unused_;
/* The same of a tree in memory as zstd has it, in little more memory. */
int tree_reader_new_packed(const char *packed, size_t n, bool brief, TreeReader **ret) _warn_unused_;
TreeReader *tree_reader_free(TreeReader *t);
/* 1: the next node, which replaces *ret; 0: the tree has ended, and nothing follows it. Fields that we do
 * not know are read over. -EBADMSG with TREE_DAMAGED: not a tree, a name that none can have, or one that
 * does not come behind the one before. */
int tree_reader_next(TreeReader *t, TreeNode *ret, Failure *reterr_failure) _warn_unused_;

/* The text of a node; without data where it is very long, and was not in memory. */
typedef struct TreeText {
        const char *data; /* weak */
        size_t n;
        size_t device_from, device_to; /* the digits of its device_id; the same: it has none */
} TreeText;

/* Of the node that came last, out of a tree in memory; valid until the next one. */
void tree_reader_text(const TreeReader *t, TreeText *ret);

DEFINE_CLEANUP(TreeReader *, tree_reader_free);

/* Writes to a buffer that the caller may empty between any two calls. */
typedef struct TreeWriter {
        Buffer *out; /* weak */
        char *last;  /* the last name */
} TreeWriter;

#define TREE_WRITER_NULL ((TreeWriter){})
void tree_writer_done(TreeWriter *w);

int tree_writer_begin(TreeWriter *w, Buffer *out) _warn_unused_;
/* -EINVAL: no name that an object can have, or not behind the one before. */
int tree_writer_add(TreeWriter *w, const TreeNode *n) _warn_unused_;
/* A node of this name as it was written before, with another device_id, where it has one. */
int tree_writer_add_text(TreeWriter *w, const char *name, const TreeText *text,
                         uint64_t device_id) _warn_unused_;
int tree_writer_end(TreeWriter *w) _warn_unused_;
