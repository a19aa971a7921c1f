#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Databases of SAP HANA as the streams of a backup. Of each database, one after the other: hdbsql has the
 * database write a backup of its data into a directory of this host, or the catalog tells where it keeps
 * those of its logs; the files become /saphana/NAME/…, with recovery.txt beside them, which says how they
 * are recovered. Via Backint the data goes another way, and that text is all that is stored.
 *
 * A backup of data counts when hdbsql, the catalog and the files say so: all pieces of the catalog's entry
 * are there, none shorter than it says. */

#include "archive/streams.h"
#include "database/hana-backup.h"

#define HANA_FOLDER "saphana"
#define HANA_RECOVERY "recovery.txt"

typedef struct HanaSource HanaSource;

typedef struct HanaSourceArgs {
        const DatabaseSource *source;
        const char *password; /* NULL: none */
        ToolFinder finder;
        const atomic_bool *cancel;
        usec_t retry_base, retry_cap; /* 0: HANA_RETRY_BASE, HANA_RETRY_CAP */
        /* Asked for each file before it is opened; may be NULL. */
        int (*allowed)(void *userdata, const char *path, Failure *reterr_failure);
        void *userdata;
} HanaSourceArgs;

/* Asks the database; whatever would fail later is told now, as far as it can be known. Then the first one is
 * backed up, which may take hours: no target has begun to wait for it. args must outlive it. */
int hana_source_new(const HanaSourceArgs *args, HanaSource **ret, Failure *reterr_failure) _warn_unused_;
HanaSource *hana_source_free(HanaSource *s);
/* What the backup is of: "/saphana". */
char *const *hana_source_paths(const HanaSource *s);
const BackupStreams *hana_source_streams(const HanaSource *s);
/* After all of it was stored: removes the files that the database wrote for it. Without it they stay, and
 * the next run stores them. */
int hana_source_stored(HanaSource *s, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(HanaSource *, hana_source_free);
