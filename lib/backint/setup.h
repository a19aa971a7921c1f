#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a call needs before its first request: the parameter file and the files that it names. All of them
 * decide where backups go and who can read them, so they belong to root or to the caller and nobody else
 * writes to them; those with secrets are not for others to read either. */

#include "backint/parameters.h"
#include "crypto/age.h"
#include "storage/storage.h"

/* Of root's files a group may be let in: the database runs as a user of its own. */
typedef enum BackintFileKind {
        BACKINT_FILE_SETTINGS,
        BACKINT_FILE_SECRETS,
} BackintFileKind;

/* Reads a whole file of at most max bytes. -EPERM: it belongs to somebody else, or others may change or
 * (secrets) read it; the failure says how to mend that. Allocates, a NUL follows. */
int backint_file_load(const char *path, BackintFileKind kind, size_t max, char **ret, size_t *ret_size,
                      Failure *reterr_failure) _warn_unused_;

/* Reads the settings and secrets of the storage and opens it. part_mib: as of backint_part_mib(), where the
 * settings do not say. */
int backint_storage_open(const BackintParameters *p, unsigned part_mib, const atomic_bool *cancel,
                         Storage **ret, Failure *reterr_failure) _warn_unused_;

/* The recipients of the parameters; allocates. */
int backint_recipients_load(const BackintParameters *p, AgeRecipient **ret, size_t *ret_n) _warn_unused_;
/* The identities of a file as age-keygen writes it; allocates, to be wiped. */
int backint_identities_load(const char *path, AgeIdentity **ret, size_t *ret_n,
                            Failure *reterr_failure) _warn_unused_;
/* The same of a text. -EINVAL. */
int backint_identities_parse(const char *text, AgeIdentity **ret, size_t *ret_n) _warn_unused_;
