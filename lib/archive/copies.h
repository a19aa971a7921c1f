#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One archive that lies in several storages. When reading from one of them fails, the next one is opened and
 * the same question asked there: the copies are the same bytes, and each frame is checked anyway. */

#include "archive/reader.h"
#include "archive/restore.h"

typedef struct Copies Copies;

/* Told when a copy is given up and another one taken. */
typedef void (*CopiesLog)(void *userdata, const char *text);

/* source must stay valid as long as the copies. */
int copies_open(const ArchiveSource *source, CopiesLog log, void *userdata, Copies **ret,
                Failure *reterr_failure) _warn_unused_;
Copies *copies_free(Copies *c);
const Manifest *copies_manifest(const Copies *c);

/* As the functions of ArchiveReader. */
int copies_list(Copies *c, const char *directory, EntriesFunc func, void *userdata,
                Failure *reterr_failure) _warn_unused_;
int copies_lookup(Copies *c, const char *path, Entry *ret, Failure *reterr_failure) _warn_unused_;
ssize_t copies_pread(Copies *c, uint64_t offset, void *buf, size_t n, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(Copies *, copies_free);
