#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/recovery: what a master consists of, beside its database: keys, configuration, the identity
 * of its own agent. */

#include "recovery/self-backup.h"
#include "sys/creds.h"

/* In a copy all names begin with this. */
#define MASTER_ROOT "backupx-master/"
#define MASTER_MANIFEST MASTER_ROOT "manifest.json"
#define MASTER_DATABASE MASTER_ROOT FILE_DATABASE
#define MASTER_KEYS MASTER_ROOT "keys/"
/* No such file of ours is larger. */
#define MASTER_FILE_MAX (1U << 20)
#define MASTER_FILES_MAX 1000U

/* A file as a copy holds it. */
typedef struct MasterFile {
        char *name; /* in the copy */
        char *data; /* NULL: the database, which is too large for that; wiped */
        uint64_t size;
        uint32_t mode; /* permissions */
        char sha256[SHA256_HEX_SIZE];
} MasterFile;

typedef struct MasterFiles {
        MasterFile *items;
        size_t n;
} MasterFiles;

#define MASTER_FILES_NULL ((MasterFiles){})
void master_files_done(MasterFiles *l);
/* Takes over data, also on failure; a copy of name. */
int master_files_add(MasterFiles *l, const MasterFile *file) _warn_unused_;
const MasterFile *master_files_find(const MasterFiles *l, const char *name);

/* All of them but the database. */
int master_files_read(const MasterPlaces *places, MasterFiles *ret, Failure *reterr_failure) _warn_unused_;

Creds master_creds(const MasterPlaces *places);

/* Where a file of a copy belongs on this machine. A credential is in *ret_credential, else that is NULL.
 * -EINVAL: nothing of ours has such a name. -ENOENT: it does not belong to a master of this form (plain keys
 * have no /etc). */
int master_file_place(const MasterPlaces *places, const char *name, char **ret_path,
                      const char **ret_credential) _warn_unused_;
