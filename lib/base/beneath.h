#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Opening what lies below a directory, wherever the links lead that somebody else put there. */

#include <sys/types.h>

#include "base/macros.h"

/* Opens path below dirfd: no symbolic link on the way or at its end (-ELOOP), no way out by ".." or a
 * leading slash (-EXDEV). O_CLOEXEC and O_NOCTTY are added. With O_PATH and O_NOFOLLOW a link at the end is
 * opened itself. "." is dirfd again. The mode counts with O_CREAT. */
int open_beneath(int dirfd, const char *path, int flags, mode_t mode) _warn_unused_;

/* The same without openat2(), one part after the other: for sandboxes, whose filters cannot look into the
 * arguments of that call and answer ENOSYS (RestrictSUIDSGID= is one). ".." is refused wherever it stands.
 */
int open_beneath_by_steps(int dirfd, const char *path, int flags, mode_t mode) _warn_unused_;
