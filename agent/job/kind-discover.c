/* SPDX-License-Identifier: Apache-2.0 */

/* discover_databases: the servers of this host, without asking them for anything. */

#include <errno.h>

#include "agent/job/discover.h"
#include "agent/job/kinds.h"

static int discover(const JobRun *run, JobOutcome *ret) {
        json_t *servers = NULL, *result;
        bool incomplete = false;
        int r;

        r = discover_servers("", run->policy, &servers, &incomplete);
        if (r < 0)
                return r;
        result = json_pack("{s:o, s:b}", "servers", servers, "incomplete", (int) incomplete);
        if (!result)
                return -ENOMEM;
        ret->result = result;
        return 0;
}

void job_kind_discover(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = discover(run, ret);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
