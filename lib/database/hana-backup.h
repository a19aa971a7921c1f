#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One backup of data, with its retries. An answer that was lost does not say what became of the backup: it
 * may be running, or have ended well, and then the next incremental one builds on it. So before another try
 * the catalog is asked, and what cannot be asked is not tried again. */

#include "database/hana-place.h"
#include "database/hana-tool.h"

typedef struct HanaBackupArgs {
        const HanaTool *tool;
        const HanaPlace *place; /* NULL: via Backint */
        HanaCatalog of;
} HanaBackupArgs;

typedef struct HanaBackupResult {
        char name[HANA_NAME_MAX + 1]; /* how its pieces begin */
        uint64_t id;
        HanaAnswer answer; /* with its pieces */
        unsigned tries;    /* that failed before */
        Failure first;     /* of these */
} HanaBackupResult;

#define HANA_BACKUP_RESULT_NULL ((HanaBackupResult){})
void hana_backup_result_done(HanaBackupResult *r);

/* Gives what the last try failed of. Files of a try that failed, as the catalog says, are removed. */
int hana_backup(const HanaBackupArgs *args, HanaBackupResult *ret, Failure *reterr_failure) _warn_unused_;
