#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Whole files: read with a limit, replaced in one step. */

#include <fcntl.h>
#include <sys/types.h>

#include "base/macros.h"

/* Reads a file of at most max bytes: -EFBIG beyond. dirfd may be AT_FDCWD. Allocates; a NUL follows the
 * bytes. ret_size may be NULL. */
int read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_size) _warn_unused_;

/* Replaces path by these bytes: temporary name, fdatasync, rename, sync of the folder. A reader sees the
 * old file or the new one; on failure the old one stays. */
int write_file_atomic(int dirfd, const char *path, const void *p, size_t n, mode_t mode) _warn_unused_;

/* Makes path and its missing parents. An existing directory is fine. */
int mkdir_p(const char *path, mode_t mode) _warn_unused_;

/* Syncs the folder that holds path. */
int fsync_parent(int dirfd, const char *path) _warn_unused_;
