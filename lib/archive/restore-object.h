#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One object that is not a directory: made under a temporary name, given its metadata, then renamed. At no
 * time is there a file with part of its content, or with content that is readable to others, under its
 * name. */

#include "archive/restore-run.h"

/* content: of files. RESTORE_E_NAMED, RESTORE_E_SKIPPED: as it says. */
int restore_object(RestoreRun *r, const Member *m, const RestoreContent *content) _warn_unused_;

/* What is in the way of a directory, and is none: 0 when it was removed (overwrite). */
int restore_clear_way(RestoreRun *r, int dirfd, const char *name, const char *path) _warn_unused_;
