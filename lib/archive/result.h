#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* How a backup went, for all formats alike. */

#include "archive/report.h"

/* Fills in what the report counted, and the state and the failure that follow from it, from error (of the
 * pass over the sources, else 0), and from r->targets, which are filled. Takes the problems over. */
void backup_result_settle(BackupResult *r, Report *report, int error, bool cancelled);
