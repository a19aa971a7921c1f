#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A copy of the master itself: its database, keys and configuration in one file that stock tools open
 * (.tar.zst, sealed .tar.zst.age). Credentials that systemd-creds encrypted to this machine are in it
 * decrypted: on another machine they could not be opened. */

#include "base/failure.h"
#include "base/times.h"
#include "crypto/digest.h"
#include "recovery/outfile.h"

typedef struct MasterPlaces {
        const char *state;       /* of the daemons */
        const char *agent_state; /* of the agent on the master */
        const char *plain;       /* keys are plain files there; NULL: credentials of systemd-creds */
        const char *credstore;   /* of encrypted ones */
        const char *root;        /* "": where /etc is; for tests */
} MasterPlaces;

/* The dispatcher's identity of this master. Erase it. */
int master_identity(const MasterPlaces *places, AgeIdentity *ret, Failure *reterr_failure) _warn_unused_;

int self_backup(const MasterPlaces *places, const Sealing *sealing, OutFile *to,
                Failure *reterr_failure) _warn_unused_;
