#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The local catalog: what was saved from this host, with the digest of each object, in a file of SQLite.
 * It is beside the storage, never instead of it: which pieces there are is asked of the storage, and a host
 * that lost its catalog loses only the means to tell an object that somebody replaced from the one it
 * wrote.
 *
 * Several programs use one catalog at once, and so may the threads of one. */

#include "backint/piece.h"
#include "base/failure.h"
#include "base/times.h"

typedef struct BackintCatalog BackintCatalog;

typedef struct BackintCatalogRow {
        const char *ebid, *user, *name;
        const char *key;   /* in the storage */
        const char *level; /* as HANA said: "COMPLETE", "LOG"; may be NULL */
        usec_t saved;
        PieceSummary summary;
} BackintCatalogRow;

/* Makes the file where there is none. -EBADMSG: it is no catalog. */
int backint_catalog_open(const char *path, BackintCatalog **ret, Failure *reterr_failure) _warn_unused_;
BackintCatalog *backint_catalog_free(BackintCatalog *c);

int backint_catalog_add(BackintCatalog *c, const BackintCatalogRow *row,
                        Failure *reterr_failure) _warn_unused_;
/* 1: *ret is what was written under this EBID; 0: it is not in the catalog. */
int backint_catalog_find(BackintCatalog *c, const char *ebid, PieceSummary *ret,
                         Failure *reterr_failure) _warn_unused_;
int backint_catalog_remove(BackintCatalog *c, const char *ebid, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(BackintCatalog *, backint_catalog_free);
