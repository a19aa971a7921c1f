#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Temporary files of a start that was killed: each holds a secret that nobody uses, and no later start would
 * use its name again. */

#include "base/macros.h"

/* Whether an entry of a folder is a temporary file that writing the file name beside it leaves: ours
 * (NAME.<16 hex digits>~), that of an encrypted credential (NAME.new), and that of systemd-creds for it. */
bool leftover_is_of(const char *entry, const char *name);

/* Removes those of the file at path, which only this program writes. A folder that cannot be read is passed
 * over; what cannot be removed is told in the log. */
void leftovers_remove(const char *path);
