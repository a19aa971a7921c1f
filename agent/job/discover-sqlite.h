#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Databases of SQLite on this host, by their first bytes. Nothing is written, no lock is taken. */

#include <stdatomic.h>

#include "agent/common/policy.h"
#include "wire/json.h"

#define DISCOVER_FILES_MAX 256U
/* Names of all directories together: a probe answers soon. */
#define DISCOVER_NAMES_MAX 20000U

/* What the head of a database says. */
#define SQLITE_HEAD_SIZE 100U
typedef struct SqliteHead {
        unsigned major, minor, patch; /* of the library that wrote last; 0.0.0: not said */
        bool wal;
} SqliteHead;

/* Whether these are the first n bytes of a database. Pure. */
bool discover_sqlite_head(const uint8_t *data, size_t n, SqliteHead *ret);

/* *ret: [{"path","size_bytes","modified_at","version","wal":bool},…] of the files below root ("" for this
 * host) that a glob matches. No symbolic link is followed, and what the policy denies the listing of is
 * passed over. *ret_incomplete: something could not be read, or there is too much. -ECANCELED. */
int discover_sqlite(const char *root, const Policy *policy, char *const *globs, const atomic_bool *cancelled,
                    json_t **ret, bool *ret_incomplete) _warn_unused_;
