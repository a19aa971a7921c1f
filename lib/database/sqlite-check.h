#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the library is asked of a database that belongs to us alone. */

#include <sqlite3.h>
#include <stdatomic.h>

#include "base/failure.h"

static inline void sqlite_closep(sqlite3 **db) {
        (void) sqlite3_close(*db);
        *db = NULL;
}

/* Makes statements of this connection end soon after the flag is set. */
void sqlite_obey(sqlite3 *db, const atomic_bool *cancel);
/* The errno of a result of the library. */
int sqlite_errno(int code);

/* Opens the copy at path, which brings in what lies beside it, and puts all of it into the one file; then
 * checks it whole. name is what people call it. -EUCLEAN with a failure: it is damaged. SQLITE_E_UNCHECKED:
 * it uses functions or orders of texts that only its owner has, so that not all tables could be checked. */
enum {
        SQLITE_E_UNCHECKED = 1,
};
int sqlite_check(const char *path, const char *name, const atomic_bool *cancel,
                 Failure *reterr_failure) _warn_unused_;
