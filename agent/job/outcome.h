#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* How a job ended, and the message that says so. */

#include "base/failure.h"
#include "wire/json.h"
#include "wire/result.h"

typedef struct JobOutcome {
        ResultStatus status;
        Failure failure; /* not set where all went well */
        json_t *result;  /* an object, or NULL */
} JobOutcome;

#define JOB_OUTCOME_NULL ((JobOutcome){ .status = RESULT_FAILED })

void job_outcome_done(JobOutcome *o);
/* The "result" message. An outcome that is larger than a message may be becomes a failure that says so. */
int job_outcome_message(JobOutcome *o, json_t **ret) _warn_unused_;
