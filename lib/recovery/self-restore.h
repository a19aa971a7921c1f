#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Puts a copy of a master into service on this machine. Nothing is changed before all of the copy was read
 * and checked; what is replaced then is kept beside it as NAME.before-restore, and a failure takes all of it
 * back. A restore that was killed in between leaves SELF_RESTORE_FOLDER, with which no master starts, and
 * which the next restore goes on from. */

#include "recovery/self-backup.h"

#define SELF_RESTORE_FOLDER "self-restore"
#define SELF_RESTORE_SAVED ".before-restore"

typedef struct SelfRestore {
        const MasterPlaces *places;
        int fd; /* the copy */
        const AgeKeys *keys;
        bool force; /* replace a master that has content */
} SelfRestore;

typedef struct SelfRestored {
        usec_t created; /* the copy */
        char *hostname; /* where */
        size_t n_files;
} SelfRestored;

#define SELF_RESTORED_NULL ((SelfRestored){})
void self_restored_done(SelfRestored *r);

int self_restore(const SelfRestore *args, SelfRestored *ret, Failure *reterr_failure) _warn_unused_;
