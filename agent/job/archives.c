/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/job/archives.h"
#include "agent/job/targets.h"
#include "sys/log.h"

void job_archive_done(JobArchive *a) {
        if (!a)
                return;
        for (size_t i = 0; i < a->n; i++)
                storage_free(a->storages[i]);
        *a = (JobArchive){};
}

static void add_copy(const JobRun *run, const ArchiveCopy *copy, JobArchive *a, Failure *first) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(copy);
        assert(a);

        r = job_target_open(run, &copy->target, &a->storages[a->n], &failure);
        if (r < 0) {
                job_link_log(run->link, LOG_WARNING, "Target %s cannot be read: %s", copy->target.name,
                             failure_message(&failure, r));
                (void) failure_set(first, r, failure_is_set(&failure) ? failure.code : "TARGET_FAILED", "%s",
                                   failure_message(&failure, r));
                return;
        }
        a->places[a->n] = (ArchivePlace){ .storage = a->storages[a->n], .key = copy->key };
        a->n++;
}

int job_archive_open(const JobRun *run, const ArchiveRef *ref, JobArchive *ret, Failure *reterr_failure) {
        _cleanup_failure_ Failure first = FAILURE_NULL;
        const CommandSecrets *secrets;

        assert(run);
        assert(ref);
        assert(ret);

        *ret = (JobArchive){};
        secrets = &run->start->secrets;
        if (ref->encrypted && !secrets->has_file_keys)
                return failure_set(reterr_failure, -ENOKEY, "KEYS_MISSING",
                                   "The archive is sealed, and the command brought no keys for it");
        add_copy(run, &ref->primary, ret, &first);
        for (size_t i = 0; i < ref->n_copies && ret->n < ELEMENTSOF(ret->places); i++)
                add_copy(run, ref->copies + i, ret, &first);
        if (ret->n == 0)
                return failure_set(reterr_failure, -ENOTCONN, first.code, "%s",
                                   failure_message(&first, -ENOTCONN));

        ret->source = (ArchiveSource){
                .copies = ret->places,
                .n_copies = ret->n,
                .manifest_sha256 = ref->manifest_sha256,
                .encrypted = ref->encrypted,
                .data_key = secrets->key_data,
                .entries_key = secrets->key_entries,
                .manifest_key = secrets->key_manifest,
        };
        return 0;
}
