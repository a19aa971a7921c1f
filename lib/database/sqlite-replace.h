#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A restored database of SQLite takes the place of the one that is there. */

#include "base/failure.h"

/* Gives the file from in dirfd the name to, in one step, replacing what has it, and takes away what lies
 * beside that: the log or journal of one database destroys another. -ETXTBSY with a failure: a process has
 * the database open; force: then, too. Nothing has changed where it fails. */
int sqlite_replace(int dirfd, const char *from, const char *to, bool force,
                   Failure *reterr_failure) _warn_unused_;
