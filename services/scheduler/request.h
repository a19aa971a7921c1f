#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a sibling asks to be queued: the argument of QueueRun(). */

#include "base/failure.h"
#include "store/run.h"

#define REQUEST_MAX (256U << 10) /* a restore of as many paths as a spec takes */

/* Who asked, for the audit. */
typedef struct Actor {
        uint64_t user_id;
        char *username;
        char *address;
} Actor;

typedef struct RunRequest {
        RunKind kind;
        uint64_t task_id;
        uint64_t source_run;
        uint64_t node_id; /* 0: that of the source run */
        char *details;    /* JSON: of a restore destination, paths, conflict; of a verify share, shares;
                           * of a prune space */
        Actor by;
} RunRequest;

#define RUN_REQUEST_NULL ((RunRequest){})

void run_request_done(RunRequest *r);
/* -EBADMSG with a failure that names the field. */
int run_request_parse(const char *text, RunRequest *ret, Failure *reterr_failure) _warn_unused_;
