#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The archive of a restore or browse command: its copies opened, in the order in which they are tried. */

#include "agent/job/kinds.h"
#include "archive/restore.h"

typedef struct JobArchive {
        ArchiveSource source; /* points into the others */
        ArchivePlace places[1 + SPEC_COPIES_MAX];
        Storage *storages[1 + SPEC_COPIES_MAX];
        size_t n;
} JobArchive;

void job_archive_done(JobArchive *a);
/* ref and the command's secrets must outlive it. A copy that cannot be opened is left out with a line in the
 * log; none at all is an error. *ret must not move afterwards. */
int job_archive_open(const JobRun *run, const ArchiveRef *ref, JobArchive *ret, Failure *reterr_failure)
                _warn_unused_;
