/* SPDX-License-Identifier: Apache-2.0 */

/* self_check: what a job of this host could do, as its own sandbox lets it. */

#include <errno.h>
#include <unistd.h>

#include "agent/job/kinds.h"
#include "base/text.h"
#include "storage/storage.h"

static int add_types(json_t *result) {
        _cleanup_json_ json_t *types = json_array();

        if (!types)
                return -ENOMEM;
        for (const char *const *type = storage_types(); *type; type++) {
                int r = json_append(types, json_string(*type));

                if (r < 0)
                        return r;
        }
        return json_set(result, "storage_types", TAKE_PTR(types));
}

static int self_check(const JobRun *run, JobOutcome *ret) {
        _cleanup_json_ json_t *result = json_object();
        int r;

        if (!result)
                return -ENOMEM;
        r = json_set(result, "version", json_string(BACKUPX_VERSION));
        if (r >= 0)
                r = json_set(result, "uid", json_from_u64(geteuid()));
        if (r >= 0)
                r = json_set(result, "results_writable",
                             json_boolean(access(run->start->context.results_dir, W_OK) >= 0));
        if (r >= 0)
                r = json_set(result, "storage_writable", json_boolean(access(run->storage_dir, W_OK) >= 0));
        if (r >= 0)
                r = json_set(result, "restore_allowed", json_boolean(!run->policy->restore_off));
        if (r >= 0)
                r = add_types(result);
        if (r < 0)
                return r;
        ret->result = TAKE_PTR(result);
        return 0;
}

void job_kind_self_check(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = self_check(run, ret);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
