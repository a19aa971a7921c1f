#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* An archive as what a restore comes from. */

#include "archive/restore-stream.h"

extern const RestoreOrigin restore_origin_archive;

/* The content of the member that a reader stands at. */
typedef struct RestorePax {
        RestoreRun *run;
        PaxReader *reader;
} RestorePax;

/* Valid as long as *pax. */
RestoreContent restore_pax_content(RestorePax *pax);
