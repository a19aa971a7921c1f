/* SPDX-License-Identifier: Apache-2.0 */

/* test_storage: writes, reads back and removes a small object. */

#include "agent/job/kinds.h"
#include "agent/job/targets.h"

static int test_storage(const JobRun *run, JobOutcome *ret, Failure *reterr_failure) {
        _cleanup_(spec_target_done) SpecTarget target = SPEC_TARGET_NULL;
        _cleanup_(storage_freep) Storage *storage = NULL;
        StorageUsage usage = {};
        int r;

        assert(run);
        assert(ret);

        r = test_storage_spec_parse(run->start->spec, &target, reterr_failure);
        if (r < 0)
                return r;
        r = job_target_open(run, &target, &storage, reterr_failure);
        if (r < 0)
                return r;
        r = storage_probe(storage, &usage, reterr_failure);
        if (r < 0)
                return r;
        return storage_usage_build(/* writable= */ true, usage.free_bytes,
                                   usage.total_bytes > 0 ? usage.total_bytes : UINT64_MAX, &ret->result);
}

void job_kind_test_storage(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = test_storage(run, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
