#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The programs of an agent that this one stands in for: "backupx agent …", "backupx backint …". */

#include "base/macros.h"

/* Becomes the program with these arguments; argv[0] is replaced. Comes back, with an exit status, where it
 * cannot be started. */
int program_become(const char *name, char **argv);
