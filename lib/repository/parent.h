#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The snapshot that a backup compares with, walked beside the sources: both are in the order of names, so
 * one tree of each directory on the way is open at a time. A thread of its own reads and parses the trees
 * before the walk comes to them. A tree that cannot be read counts as not there: its files are read again.
 */

#include "repository/parent-tree.h"

typedef struct Parent Parent;

/* Trees come from ahead in the thread, and from here in the one that walks. */
int parent_new(const Id *root, const ParentFrom *ahead, const ParentFrom *here, Parent **ret) _warn_unused_;
Parent *parent_free(Parent *p);

/* Goes into a directory whose tree is this one, or into one that the parent does not have (NULL). */
int parent_enter(Parent *p, const Id *tree) _warn_unused_;
/* Goes back. */
void parent_leave(Parent *p);
/* The object of this name in the directory, or NULL. Names come in ascending order. Valid until the next
 * call for this directory. */
int parent_find(Parent *p, const char *name, const ParentNode **ret) _warn_unused_;
/* Whether this is the text of the directory's tree; false also where that is not held. */
bool parent_is(const Parent *p, const Buffer *text);
/* How many trees could not be read. */
uint64_t parent_unreadable(const Parent *p);

DEFINE_CLEANUP(Parent *, parent_free);
