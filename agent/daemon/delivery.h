#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One element of a claim's answer, taken apart. Pure. */

#include "agent/common/results.h"

typedef struct Delivery {
        WorkName name;
        usec_t deadline; /* 0: none */
        /* Borrowed from the answer. */
        const char *kind;
        const json_t *spec;
        const char *sealed; /* NULL: no secrets */
} Delivery;

int delivery_read(const json_t *command, Delivery *ret, Failure *reterr_failure) _warn_unused_;
