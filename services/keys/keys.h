#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The secrets that the suite needs at its first start. Each is made when it is missing and otherwise left
 * alone, so the program may run before every start. */

#include "base/failure.h"
#include "base/macros.h"

typedef struct KeysConfig {
        const char *plain;        /* folder for plain files; NULL: encrypted credentials of systemd */
        const char *credstore;    /* folder of the encrypted ones */
        const char *state;        /* of the master: public key and hash of the local node's token go there */
        const char *agent_token;  /* file of the local node's token */
        const char *agent_config; /* configuration of the local node's agent; NULL: none is written */
} KeysConfig;

/* Positive: something was made. */
int keys_make(const KeysConfig *config, Failure *reterr_failure) _warn_unused_;
