/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "archive/result.h"
#include "base/alloc.h"
#include "wire/path.h"

void backup_result_done(BackupResult *r) {
        assert(r);

        failure_done(&r->failure);
        archive_problems_free(r->errors, r->n_errors);
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++) {
                free(r->objects[i].name);
                free(r->objects[i].age_header);
                free(r->objects[i].volumes);
        }
        for (size_t i = 0; i < r->n_targets; i++)
                failure_done(&r->targets[i].failure);
        free(r->targets);
        *r = BACKUP_RESULT_NULL;
}

static ArchiveState state_of(const BackupResult *r, bool cancelled) {
        size_t n = 0;

        for (size_t i = 0; i < r->n_targets; i++)
                n += r->targets[i].succeeded;
        /* What was committed stays, also where the cancel came too late. */
        if (n == 0)
                return cancelled ? ARCHIVE_CANCELLED : ARCHIVE_FAILED;
        return n < r->n_targets || r->lost_total > 0 ? ARCHIVE_PARTIAL : ARCHIVE_SUCCEEDED;
}

/* Names the first path of which something is missing. */
static void failure_lost(BackupResult *r) {
        _cleanup_(freep) char *path = NULL;
        const ArchiveProblem *first = NULL;

        assert(r);

        for (size_t i = 0; i < r->n_errors && !first; i++)
                if (r->errors[i].lost)
                        first = r->errors + i;
        if (!first || path_display(first->path, &path) < 0)
                (void) failure_set(&r->failure, -EIO, "FILES_LOST",
                                   "%" PRIu64 " files or directories could not be read.", r->lost_total);
        else if (r->lost_total == 1)
                (void) failure_set(&r->failure, -EIO, "FILES_LOST", "Not backed up completely: %s: %s", path,
                                   first->message);
        else
                (void) failure_set(&r->failure, -EIO, "FILES_LOST",
                                   "%" PRIu64 " files or directories are not backed up completely, the log "
                                   "names them. The first is %s: %s",
                                   r->lost_total, path, first->message);
}

/* One sentence for a run that is not a success. */
static void failure_fill(BackupResult *r, Failure *cause, int error) {
        assert(r);

        if (r->state == ARCHIVE_SUCCEEDED)
                return;
        if (r->state == ARCHIVE_CANCELLED) {
                (void) failure_set(&r->failure, -ECANCELED, "CANCELLED", "The backup was cancelled.");
                return;
        }
        if (error < 0 && failure_is_set(cause)) {
                r->failure = *cause;
                *cause = FAILURE_NULL;
                return;
        }
        for (size_t i = 0; i < r->n_targets; i++) {
                const BackupTargetResult *t = &r->targets[i];

                /* Targets that were only stopped say nothing of the cause. */
                if (!t->succeeded && failure_is_set(&t->failure) && error != -ECANCELED &&
                    (error >= 0 || error == -EPIPE)) {
                        (void) failure_set(&r->failure, -EIO, t->failure.code, "%s",
                                           failure_message(&t->failure, -EIO));
                        return;
                }
        }
        if (error < 0)
                (void) failure_set(&r->failure, error, "ARCHIVE_FAILED",
                                   "The backup could not go on: %m.");
        else
                failure_lost(r);
}

void backup_result_settle(BackupResult *r, Report *report, int error, bool cancelled) {
        assert(r);
        assert(report);

        r->bytes_read = report->bytes_read;
        r->files = report->files + report->others;
        r->directories = report->directories;
        r->skipped = report->skipped;
        r->first_read = report->first_read;
        r->errors = TAKE_PTR(report->errors);
        r->n_errors = report->n_errors;
        report->n_errors = 0;
        r->errors_total = report->errors_total;
        r->lost_total = report->lost_total;
        r->state = state_of(r, cancelled);
        failure_fill(r, &report->failure, error);
}
