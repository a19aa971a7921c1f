#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The directories and files of a local target, below a root that stays the root: no link in a key's path is
 * followed, whoever put it there. */

#include "storage/storage.h"

#define TREE_FILE_MODE 0600
#define TREE_DIRECTORY_MODE 0700
/* Files that have no name of their own yet; a listing passes them over. */
#define TREE_TEMP_PREFIX ".backupx-"
#define TREE_TEMP_SUFFIX ".part"

/* A file or directory below dirfd; flags as for openat(). */
int tree_open(int dirfd, const char *path, int flags) _warn_unused_;
/* Opens the directory that holds key, making what is missing of it. Counts what was made. */
int tree_make_parent(int root, const char *key, unsigned *ret_created) _warn_unused_;
/* Removes up to n directories at the end of the key's path, while they are empty. */
void tree_prune(int root, const char *key, unsigned n);
/* All files below a directory in the order of their keys; prefix is what stands before their paths. Gives
 * what func gave, where that was not 0. */
int tree_list(int fd, const char *prefix, StorageListFunc func, void *userdata) _warn_unused_;
