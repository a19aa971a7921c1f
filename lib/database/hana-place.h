#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The directory that SAP HANA writes into, and from where its pieces are taken. The database runs as a user
 * of its own, so it belongs to both: it has to be writable for the job, too, which removes what was stored.
 * What a run could not store stays: a backup that a later one builds on must not be lost, so the next run of
 * the same database stores it. One run at a time has the directory. */

#include "base/failure.h"

typedef struct HanaPlace {
        int fd;
        const char *path; /* not owned */
} HanaPlace;

#define HANA_PLACE_NULL ((HanaPlace){ .fd = -EBADF })

#define HANA_NAME_MAX 191U

/* DIRECTORY_UNUSABLE; -EBUSY, DIRECTORY_BUSY. */
int hana_place_open(const char *path, HanaPlace *ret, Failure *reterr_failure) _warn_unused_;
void hana_place_done(HanaPlace *p);

/* "backupx.HXE.": how all names of pieces of this database begin. Gives ret. */
char *hana_name_of(const char *database, char ret[static HANA_NAME_MAX + 1]);
/* A new one: "backupx.HXE.20261123T194901Z-0123abcd". Pure. Gives ret. */
char *hana_name_new(const char *database, int64_t now_sec, uint32_t random,
                    char ret[static HANA_NAME_MAX + 1]);

/* The names of files that begin so, in order; *ret may be NULL then. */
int hana_place_list(const HanaPlace *p, const char *begin, char ***ret) _warn_unused_;
/* Removes one; that it is not there is fine. */
int hana_place_remove(const HanaPlace *p, const char *name) _warn_unused_;
/* Removes all that begin so. */
int hana_place_clear(const HanaPlace *p, const char *begin) _warn_unused_;
