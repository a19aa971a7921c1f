#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One job: says hello, is told what to do, does it in a worker thread, and hands over the result.
 *
 *         WAITING   hello was sent; nothing is done before the start message is here whole
 *         WORKING   the worker runs; log and progress go to the agent, cancel comes from it
 *         HANDING   the result was sent; the agent's ack ends the job
 *         ENDED
 *
 * When the line to the agent ends in WAITING the job ends: it was never started. When it ends later the job
 * goes on and leaves its result in results/, as it does when no ack comes; but a probe, whose asker is gone
 * with the agent, just ends. */

#include <systemd/sd-event.h>

#include "base/macros.h"
#include "base/times.h"

/* For the start message; and for the ack. */
#define JOB_START_TIMEOUT (30 * USEC_PER_SEC)
#define JOB_ACK_TIMEOUT (30 * USEC_PER_SEC)

/* Not more than two messages of progress a second. */
#define JOB_PROGRESS_INTERVAL (USEC_PER_SEC / 2)

/* While more than this waits to be sent, log lines stay in their ring. */
#define JOB_QUEUE_HIGH (256U << 10)

typedef struct Job Job;

typedef struct JobArgs {
        int fd; /* the line to the agent; taken over */
        const char *policy_path;
        const char *storage_dir;
        const char *staging_dir;
        const char *tools_path;   /* where tools are looked for */
        const char *cache_dir;    /* of repositories */
        const char *hook_program; /* NULL: hooks are behind the socket; both live longer than the job */
        const char *hook_socket;
} JobArgs;

int job_new(sd_event *event, const JobArgs *args, Job **ret) _warn_unused_;
Job *job_free(Job *j);
/* Whether its worker still runs; it must not be freed then. */
bool job_is_busy(const Job *j);

DEFINE_CLEANUP(Job *, job_free);
