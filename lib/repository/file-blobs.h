#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The blobs of files that have more than one name, by (device, inode): the further names need not be read.
 * The table has a memory budget; what does not fit is read again, which gives the same blobs. */

#include "repository/id.h"

#define FILE_BLOBS_BUDGET ((size_t) 8 << 20)

typedef struct FileBlobs FileBlobs;

int file_blobs_new(size_t budget, FileBlobs **ret) _warn_unused_;
FileBlobs *file_blobs_free(FileBlobs *t);

/* Whether the file is known. The ids are valid until the next call. */
bool file_blobs_find(FileBlobs *t, uint64_t dev, uint64_t ino, const Id **ret, size_t *ret_n);
/* Remembers a file that has so many names. Where there is no room it does not. */
void file_blobs_add(FileBlobs *t, uint64_t dev, uint64_t ino, uint64_t n_links, const Id *ids, size_t n);

DEFINE_CLEANUP(FileBlobs *, file_blobs_free);
