#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where the dump of a database lies in a backup: FOLDER/NAME.SUFFIX, without its first '/', with what no
 * name of a file can have as %XX. */

#include "base/macros.h"

/* Allocates; NULL: out of memory. Pure. */
char *dump_path_of(const char *folder, const char *database, const char *suffix);
/* The way back; NULL where it is none, too. Pure. */
char *dump_database_of(const char *folder, const char *path, const char *suffix);
