#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A file of secrets for root alone: it appears whole under its name, or not at all, and nowhere where others
 * could read it. */

#include "base/failure.h"
#include "base/macros.h"
#include "crypto/age.h"

typedef struct OutFile {
        int fd;
        char *path;      /* NULL: the standard output */
        char *temporary; /* to be removed; or NULL */
        bool replace;
} OutFile;

#define OUTFILE_NULL ((OutFile){ .fd = -EBADF })
/* Removes what was not committed. */
void outfile_done(OutFile *f);

/* path "-" is the standard output. replace: an older file may be there. is_sealed: others may read it. */
int outfile_open(const char *path, bool replace, bool is_sealed, OutFile *ret, Failure *reterr_failure)
                _warn_unused_;
int outfile_commit(OutFile *f, Failure *reterr_failure) _warn_unused_;

/* To whom it is sealed; all zero: to nobody. */
typedef struct Sealing {
        const char *passphrase;
        const AgeRecipient *recipients;
        size_t n_recipients;
} Sealing;

static inline bool sealing_is_set(const Sealing *s) {
        return s->passphrase || s->n_recipients > 0;
}

/* An age file for sealing. */
int sealing_writer(const Sealing *s, AgeSink sink, void *userdata, AgeWriter **ret) _warn_unused_;
/* AgeSink; userdata is the OutFile. */
int outfile_sink(void *userdata, const void *p, size_t n) _warn_unused_;
