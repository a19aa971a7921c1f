#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* From the words of the archive to those of a job's result. */

#include "archive/outcome.h"
#include "wire/result.h"

/* A level of syslog. */
int job_log_level(ArchiveLogLevel level) _pure_;
ResultStatus job_result_status(ArchiveState state) _pure_;
/* Moves as many as a result may name, what is lost first: a run says why it is partial with the first of
 * them. The rest stays where it is. */
int job_take_problems(ArchiveProblem *problems, size_t n, ResultFigures *figures) _warn_unused_;
