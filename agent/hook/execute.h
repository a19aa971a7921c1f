#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One hook: the check of its file, and its run in a process group of its own, with bounded time and
 * output. */

#include "base/failure.h"
#include "base/times.h"

/* Between SIGTERM and SIGKILL, and between that and giving up on what no signal ends. */
#define HOOK_GRACE (5 * USEC_PER_SEC)

/* Of its output, whichever comes first; what is beyond is read and dropped. */
#define HOOK_OUTPUT_LINES 200U
#define HOOK_OUTPUT_BYTES (64U << 10)
#define HOOK_LINE_MAX 1024U

typedef struct HookOrder {
        const char *path;
        const char *name;
        char *const *environment;
        usec_t limit;
        const int *watched; /* two descriptors, or negative: when one has news, stop() is asked */
        /* Asked when one of these has news; true: the hook is to end now. */
        bool (*stop)(void *userdata);
        /* Without control characters. */
        void (*on_line)(void *userdata, const char *text);
        void *userdata;
} HookOrder;

/* Whether name in this folder is a program that nobody but its administrator could have put there or
 * changed. *ret is its path. Codes HOOK_NOT_FOUND and HOOK_REFUSED. */
int hook_check(const char *folder, const char *name, char **ret, Failure *reterr_failure) _warn_unused_;

/* 0: it ended by itself with status 0. Else code HOOK_FAILED, with why. */
int hook_execute(const HookOrder *o, usec_t *ret_took, Failure *reterr_failure) _warn_unused_;
