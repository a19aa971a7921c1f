#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/recovery: reading a copy of a master, with every check that can be made before anything is
 * changed. The copy is not trusted: names, sizes and digests are those of its manifest, or it is refused. */

#include "recovery/bundle.h"
#include "recovery/master-files.h"

typedef struct Staged {
        MasterFiles files; /* as the manifest names them, with data */
        char *database;    /* a file of its own */
        usec_t created;
        char *hostname;
} Staged;

#define STAGED_NULL ((Staged){})
void staged_done(Staged *s);

/* The database goes to a new file at path. */
int stage_read(BundleReader *reader, const char *path, Staged *ret, Failure *reterr_failure) _warn_unused_;

/* The text of a manifest: fills files (without data), created and hostname. */
int stage_parse_manifest(const void *text, size_t n, Staged *ret, Failure *reterr_failure) _warn_unused_;
