#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Mount points whose file systems may never answer: anything that is not known to be on this machine. Read
 * once from the kernel's table, without touching any of them. */

#include "base/macros.h"

typedef struct Mounts Mounts;

/* From the text of /proc/self/mountinfo. */
int mounts_parse(const char *text, Mounts **ret) _warn_unused_;
int mounts_load(Mounts **ret) _warn_unused_;
Mounts *mounts_free(Mounts *m);

/* Whether such a file system is mounted at this path, which is relative to the root ("" is the root). */
bool mounts_is_remote(const Mounts *m, const char *path);
/* Whether this absolute path is at or below such a mount point. */
bool mounts_is_below_remote(const Mounts *m, const char *path);

/* File systems made of the kernel's own state, by statfs(2) type: their content is no data, and reading it
 * may have effects. */
bool fs_type_is_pseudo(uint64_t type);

DEFINE_CLEANUP(Mounts *, mounts_free);
