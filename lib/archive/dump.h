#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The content of one file or stream of an archive, to a descriptor. */

#include "archive/restore.h"

typedef struct ArchiveDumpArgs {
        ArchiveSource source;
        const char *path;          /* absolute */
        int fd;                    /* that is written to; blocking */
        const atomic_bool *cancel; /* may be NULL */
} ArchiveDumpArgs;

/* Every frame is checked before anything of it is written; where one is damaged the output ends before it,
 * with the error. Of a stream the parts are looked at first: all of them, without a gap. -ENOENT with
 * PATH_NOT_FOUND; -EISDIR with PATH_INVALID: neither. *ret_bytes, where not NULL, is what was written. */
int archive_dump(const ArchiveDumpArgs *args, uint64_t *ret_bytes, Failure *reterr_failure) _warn_unused_;
