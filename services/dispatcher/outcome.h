#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* From the end of a command to the end of its run: a function of its arguments. What an agent sends is
 * hostile: it may make its own run look worse than it was, never better. A green run has every target
 * committed under the very key that this attempt was given, and nothing missing. */

#include "store/queue.h"
#include "store/run.h"
#include "store/task.h"

typedef struct Outcome {
        RunEnd end; /* points into the rest */
        char *code;
        char *error;
        char *errors;
        char *objects;
        char manifest_sha256[65];
        RunTarget targets[TASK_TARGETS_MAX];
} Outcome;

void outcome_init(Outcome *o);
void outcome_done(Outcome *o);

/* Takes what an earlier command of the run did into what its last one came to: figures are added, and no
 * trouble of either is lost. */
int outcome_add(Outcome *o, const Outcome *earlier) _warn_unused_;

/* targets are the run's own. Only -ENOMEM is an error: whatever cannot be understood is a failed run. */
int outcome_judge(const Run *run, const RunTargetList *targets, const Command *command,
                  Outcome *ret) _warn_unused_;
