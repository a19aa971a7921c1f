#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Between the two threads of a job: the worker, which may block for hours in a system call, and the event
 * loop, which never does. The worker leaves log, progress and outcome here; the loop is woken through a
 * descriptor. Nothing here blocks, whatever the agent does. */

#include <stdatomic.h>

#include "agent/common/log-ring.h"
#include "agent/job/outcome.h"
#include "wire/job.h"

typedef struct JobLink JobLink;

int job_link_new(JobLink **ret) _warn_unused_;
JobLink *job_link_free(JobLink *l);

/* --- Worker ---------------------------------------------------------------------------------------- */

/* Becomes true when the job is to end. */
const atomic_bool *job_link_cancelled(const JobLink *l);
void job_link_log(JobLink *l, int level, const char *format, ...) _printf_(3, 4);
/* Copies. */
void job_link_progress(JobLink *l, const JobProgress *p);
/* From now on a cancel sends these bytes to fd, a socket, beside setting the flag; at once where it was set
 * already. Until job_link_unwatch(), before which fd must not be closed. */
int job_link_watch(JobLink *l, int fd, const char *text) _warn_unused_;
void job_link_unwatch(JobLink *l);
/* The end; takes the outcome over. */
void job_link_finish(JobLink *l, JobOutcome *outcome);

/* --- Loop ------------------------------------------------------------------------------------------ */

/* Readable when there is news; job_link_clear() first, then look. */
int job_link_fd(const JobLink *l);
void job_link_clear(JobLink *l);
void job_link_cancel(JobLink *l);
/* Lines after this number, as log_ring_batch(). */
int job_link_lines(JobLink *l, uint64_t after, json_t **ret, uint64_t *ret_last) _warn_unused_;
/* The same without the limits of a batch: all that are left. */
int job_link_rest(JobLink *l, uint64_t after, json_t **ret) _warn_unused_;
/* Whether progress was made since the last call; hands it over. */
bool job_link_take_progress(JobLink *l, JobProgress *ret);
bool job_link_is_finished(JobLink *l);
/* Once, after it finished. */
void job_link_take_outcome(JobLink *l, JobOutcome *ret);

DEFINE_CLEANUP(JobLink *, job_link_free);
