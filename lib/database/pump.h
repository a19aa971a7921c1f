#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A dump on its way into a tool. Only when the first of it is there does anything begin: a backup that
 * cannot be read must not cost the database that it was to replace. */

#include "database/child.h"

typedef struct Pump Pump;

typedef struct PumpArgs {
        /* Makes ready what the dump goes into, and starts the tool; head is how the dump begins. Another
         * thread calls it. */
        int (*begin)(void *userdata, const char *head, size_t n, Child **ret, Failure *reterr_failure);
        void *userdata;
        size_t head_max; /* how much of it begin() gets, unless the dump is shorter */
        bool may_stop;   /* the tool does not need all of it to end well */
} PumpArgs;

int pump_new(const PumpArgs *args, Pump **ret, Failure *reterr_failure) _warn_unused_;
/* Waits for the end of the tool, which has no more input then. */
Pump *pump_free(Pump *p);
/* Where the dump is to be written; blocking. -EPIPE: it is not wanted any more, pump_end() says why. */
int pump_fd(const Pump *p);
/* After all of it: the tool's end as child_wait() has it, or what begin() said. -ENODATA without a failure:
 * nothing was written, and so nothing has begun. */
int pump_end(Pump *p, Failure *reterr_failure) _warn_unused_;
/* As child_complaint(), after pump_end(). */
const char *pump_complaint(const Pump *p, const char *silence);

DEFINE_CLEANUP(Pump *, pump_free);
