/* SPDX-License-Identifier: Apache-2.0 */

/* discover_databases: servers and files of this host, without asking them for anything, and the tools that
 * back them up. */

#include <errno.h>

#include "agent/job/discover-sqlite.h"
#include "agent/job/discover.h"
#include "agent/job/kinds.h"
#include "agent/job/tools-run.h"
#include "wire/discovery.h"

static int read_spec(const JobRun *run, DiscoverySpec *ret, Failure *reterr_failure) {
        JsonReader reader;
        int r;

        (void) json_reader_init(&reader, run->start->spec, reterr_failure);
        r = discovery_spec_read(&reader, ret);
        return r < 0 ? r : json_reader_finish_lenient(&reader);
}

static int discover(const JobRun *run, JobOutcome *ret, Failure *reterr_failure) {
        _cleanup_(discovery_spec_done) DiscoverySpec spec = DISCOVERY_SPEC_NULL;
        _cleanup_json_ json_t *servers = NULL, *files = NULL, *tools = NULL;
        const atomic_bool *cancelled = job_link_cancelled(run->link);
        bool incomplete = false, too_many = false;
        unsigned silent = 0;
        int r;

        assert(ret);

        r = read_spec(run, &spec, reterr_failure);
        if (r >= 0)
                r = discover_servers("", run->policy, &servers, &incomplete);
        if (r >= 0)
                r = discover_sqlite("", run->policy, spec.sqlite, cancelled, &files, &too_many);
        if (r >= 0)
                r = tools_ask(run->tools_path, cancelled, &tools, &silent);
        if (r < 0)
                return r;
        ret->result = json_pack("{s:O, s:O, s:O, s:b}", "servers", servers, "sqlite", files, "tools", tools,
                                "incomplete", (int) (incomplete || too_many));
        return ret->result ? 0 : -ENOMEM;
}

void job_kind_discover(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = discover(run, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
