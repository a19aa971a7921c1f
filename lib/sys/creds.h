#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where credentials are kept: as plain files of a folder, or encrypted to this host by systemd-creds. */

#include "base/failure.h"
#include "base/macros.h"

#define CREDENTIAL_MAX 4096

typedef struct Creds {
        const char *folder;
        const char *prefix; /* of file names; "" for plain ones */
        bool encrypted;
} Creds;

/* 1: there; 0: not. */
int creds_exist(const Creds *c, const char *name, Failure *reterr_failure) _warn_unused_;
/* Writes one that is missing, in one step. */
int creds_write(const Creds *c, const char *name, const char *secret, Failure *reterr_failure) _warn_unused_;
/* Writes it to another file than its own, for a rename later; what is there is replaced. */
int creds_stage(const Creds *c, const char *name, const char *secret, const char *path,
                Failure *reterr_failure) _warn_unused_;
/* Its own file. */
int creds_path(const Creds *c, const char *name, char **ret) _warn_unused_;
/* *ret is for erase_and_freep(). */
int creds_read(const Creds *c, const char *name, char **ret, Failure *reterr_failure) _warn_unused_;
