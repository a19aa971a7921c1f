#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A piece of one file of an archive, without what lies before it. */

#include "archive/restore.h"
#include "base/buffer.h"

typedef struct ArchiveReadArgs {
        ArchiveSource source;
        const char *path; /* absolute, raw bytes */
        uint64_t offset;
        uint32_t length;
} ArchiveReadArgs;

/* Adds up to length bytes to *ret, fewer only at the file's end; holes are zeros. *ret_size: of the whole
 * file. -ENOENT with PATH_NOT_FOUND; -EISDIR with PATH_INVALID: no file; -EBADMSG, and what storage gives:
 * the archive cannot be read. Always with a failure. */
int archive_read_file(const ArchiveReadArgs *args, Buffer *ret, uint64_t *ret_size, Failure *reterr_failure)
                _warn_unused_;
