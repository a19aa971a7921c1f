#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Appending to a file past the page cache (O_DIRECT) wherever that is possible: without a copy of the data
 * there, and without driving out of the cache what the server itself works with. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

typedef struct DirectWrite {
        int fd;       /* weak */
        bool on;      /* the descriptor is in that mode now */
        bool refused; /* no use trying: not the file system of a disk, or it wants larger blocks */
} DirectWrite;

/* fd: a file open for writing, at its end. */
void direct_init(DirectWrite *d, int fd);

/* Writes all of it at the file's end, which is at offset. Goes past the cache where data, n and offset are
 * multiples of STORAGE_ALIGNMENT and n is large; d->on tells afterwards which way it went. -errno as of
 * write(2). */
int direct_write(DirectWrite *d, const void *data, size_t n, uint64_t offset) _warn_unused_;
