#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* An archive in storage, opened for reading: the manifest first, then any directory of the listing and any
 * range of the tar stream. Every frame is checked against the manifest before it is decompressed; nothing
 * unchecked is ever given out. Memory: one frame of the data, one of the listing, one table.
 *
 * -EBADMSG: what storage holds is not what was written, and the failure names the object. */

#include "archive/entries.h"
#include "archive/manifest.h"
#include "archive/pax.h"
#include "crypto/age.h"
#include "storage/storage.h"

typedef struct ArchiveReader ArchiveReader;

typedef struct ArchiveReaderArgs {
        Storage *storage;
        const char *key; /* "web-1/etc/20261122T221501.123Z-12-1/", with its '/' */
        /* of the manifest object; NULL: not known, nothing is authenticated */
        const uint8_t *manifest_sha256;
        bool encrypted;
        /* Encrypted archives: file keys of AGE_FILE_KEY_SIZE bytes. Those of data and entries may be NULL
         * when they will not be read. */
        const uint8_t *data_key, *entries_key, *manifest_key;
} ArchiveReaderArgs;

/* Reads the manifest, and checks that the objects exist with their sizes and (encrypted) their headers. */
int archive_reader_new(const ArchiveReaderArgs *args, ArchiveReader **ret,
                       Failure *reterr_failure) _warn_unused_;
ArchiveReader *archive_reader_free(ArchiveReader *r);
const Manifest *archive_reader_manifest(const ArchiveReader *r);

/* The children of a directory, in order of their names' bytes. "" is the root: its children lead to the
 * sources. -ENOENT: not in the archive, or not a directory. func may take the entry's content with TAKE_PTR
 * or by setting it to ENTRY_NULL; what it leaves is freed. */
int archive_reader_list(ArchiveReader *r, const char *directory, EntriesFunc func, void *userdata,
                        Failure *reterr_failure) _warn_unused_;
/* One path. -ENOENT. */
int archive_reader_lookup(ArchiveReader *r, const char *path, Entry *ret,
                          Failure *reterr_failure) _warn_unused_;

/* Reads the tar stream at offset: up to n bytes, 0 at its end. Sequential reads cost each frame once. */
ssize_t archive_reader_pread(ArchiveReader *r, uint64_t offset, void *buf, size_t n,
                             Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(ArchiveReader *, archive_reader_free);
