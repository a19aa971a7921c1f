#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Hard links already stored: (device, inode) → path. A file whose names were all seen is forgotten. The
 * table has a memory budget; what does not fit is stored as copies. */

#include "base/macros.h"

/* About 150,000 files with more than one name at a time. */
#define LINKS_BUDGET (16U << 20)

typedef struct Links Links;

int links_new(size_t budget, Links **ret) _warn_unused_;
Links *links_free(Links *l);
/* The path stored for this file, or NULL. The nth of its names; the text is valid until the next call. */
const char *links_find(Links *l, uint64_t dev, uint64_t ino);
/* Remembers a file with n_links names: 1, or 0 where the budget is spent. */
int links_add(Links *l, uint64_t dev, uint64_t ino, uint32_t n_links, const char *path) _warn_unused_;

DEFINE_CLEANUP(Links *, links_free);
