/* SPDX-License-Identifier: Apache-2.0 */

/* read_file: a piece of one file of a backup. */

#include <errno.h>

#include "agent/job/archives.h"
#include "agent/job/kinds.h"
#include "agent/job/repositories.h"
#include "archive/content.h"
#include "base/alloc.h"
#include "repository/content.h"

static int read_archive(const JobRun *run, const ReadSpec *spec, Buffer *ret, uint64_t *ret_size,
                        Failure *reterr_failure) {
        _cleanup_(job_archive_done) JobArchive archive = {};
        ArchiveReadArgs args;
        int r;

        assert(spec);

        r = job_archive_open(run, &spec->archive, &archive, reterr_failure);
        if (r < 0)
                return r;
        args = (ArchiveReadArgs){
                .source = archive.source,
                .path = spec->path,
                .offset = spec->offset,
                .length = spec->length,
        };
        return archive_read_file(&args, ret, ret_size, reterr_failure);
}

static int read_snapshot(const JobRun *run, const ReadSpec *spec, Buffer *ret, uint64_t *ret_size,
                         Failure *reterr_failure) {
        _cleanup_(job_snapshot_done) JobSnapshot snapshot = {};
        RepositoryReadArgs args;
        int r;

        assert(spec);

        r = job_snapshot_open(run, &spec->snapshots, &snapshot, reterr_failure);
        if (r < 0)
                return r;
        args = (RepositoryReadArgs){
                .repository = snapshot.repository,
                .snapshot = snapshot.id,
                .path = spec->path,
                .offset = spec->offset,
                .length = spec->length,
        };
        return repository_read_file(&args, ret, ret_size, reterr_failure);
}

static int read_piece(const JobRun *run, JobOutcome *ret, Failure *reterr_failure) {
        _cleanup_(read_spec_done) ReadSpec spec = READ_SPEC_NULL;
        _cleanup_buffer_ Buffer content = BUFFER_LIMITED(READ_LENGTH_MAX);
        uint64_t size = 0;
        int r;

        assert(run);
        assert(ret);

        r = read_spec_parse(run->start->spec, &spec, reterr_failure);
        if (r >= 0)
                r = spec.snapshots.n > 0 ? read_snapshot(run, &spec, &content, &size, reterr_failure) :
                                           read_archive(run, &spec, &content, &size, reterr_failure);
        return r < 0 ? r : read_result_build(size, content.data, content.size, &ret->result);
}

void job_kind_read_file(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = read_piece(run, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
