#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What to do with the pieces of a backup of SAP HANA when they are needed, as a text beside them: whoever
 * reads it may have nothing else. Pure. */

#include "database/hana-sql.h"

typedef struct HanaRecovery {
        const char *system; /* "HXE" */
        const char *version;
        const char *database;
        const HanaSettings *how;
        const char *name; /* how the pieces of data begin; NULL: of logs */
        uint64_t id;      /* of the backup; 0: of logs */
        const HanaAnswer *answer;
} HanaRecovery;

/* Allocates. */
int hana_recovery_text(const HanaRecovery *of, char **ret) _warn_unused_;
