#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Folders of the cache. Jobs of several privileges share it, so no symbolic link in it is ever followed. */

#include <sys/types.h>

#include "base/macros.h"

#define CACHE_FOLDER_MODE 0700

/* -ENOENT for everything that is not a directory there. */
int cache_folder_open(int dirfd, const char *name) _warn_unused_;
/* Each name but "." and ".."; what cannot be read is passed over. */
typedef void (*CacheFolderFunc)(void *userdata, int folder, const char *name);
void cache_folder_each(int folder, CacheFolderFunc func, void *userdata);
