#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A piece of one file of a snapshot, without the blobs before it. */

#include "base/buffer.h"
#include "repository/repository.h"

typedef struct RepositoryReadArgs {
        Repository *repository;
        const char *snapshot; /* as repository_find_snapshot() */
        const char *path;     /* absolute */
        uint64_t offset;
        uint32_t length;
} RepositoryReadArgs;

/* Adds up to length bytes to *ret, fewer only at the file's end. *ret_size: of the whole file. Nothing comes
 * out of a blob that is not what was stored. -ENOENT with PATH_NOT_FOUND; -EISDIR with PATH_INVALID: no
 * file. Always with a failure. */
int repository_read_file(const RepositoryReadArgs *args, Buffer *ret, uint64_t *ret_size,
                         Failure *reterr_failure) _warn_unused_;
