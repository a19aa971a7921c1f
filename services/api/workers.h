#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Two threads for what would block the loop: hashing passwords, the disk of the relay. They touch nothing
 * but what their job was given; what it found comes back into the loop. */

#include <systemd/sd-event.h>

#include "base/macros.h"

typedef struct Workers Workers;

#define WORKERS_THREADS 2
/* Jobs that wait or run: with 50 ms a password this is a queue of three seconds. More are refused: -EBUSY.
 */
#define WORKERS_JOBS_MAX 128

/* In a thread. */
typedef void (*WorkerRun)(void *userdata);
/* In the loop, once for each job that was taken; userdata is given back. Not called for jobs that never ran
 * because the workers were stopped: then drop() is. */
typedef void (*WorkerDone)(void *userdata);

typedef struct WorkerJob {
        WorkerRun run;
        WorkerDone done;
        WorkerDone drop;
        void *userdata;
} WorkerJob;

int workers_new(sd_event *event, Workers **ret) _warn_unused_;
/* Waits for the jobs that run. */
Workers *workers_free(Workers *w);

int workers_submit(Workers *w, const WorkerJob *job) _warn_unused_;

DEFINE_CLEANUP(Workers *, workers_free);
