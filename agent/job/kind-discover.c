/* SPDX-License-Identifier: Apache-2.0 */

/* discover_databases: servers and files of this host, without asking them for anything, and the tools that
 * back them up; or what is in one server, which is asked for it. */

#include <errno.h>

#include "agent/job/discover-sqlite.h"
#include "agent/job/discover.h"
#include "agent/job/kinds.h"
#include "agent/job/look.h"
#include "agent/job/tools-run.h"
#include "base/times.h"
#include "wire/discovery.h"

/* Who asked waits for 15 s. */
#define LOOK_TIME (8 * USEC_PER_SEC)

static int read_spec(const JobRun *run, DiscoverySpec *ret, Failure *reterr_failure) {
        JsonReader reader;
        int r;

        (void) json_reader_init(&reader, run->start->spec, reterr_failure);
        r = discovery_spec_read(&reader, ret);
        return r < 0 ? r : json_reader_finish_lenient(&reader);
}

/* What can be seen without a login. */
static int look_around(const JobRun *run, const DiscoverySpec *spec, json_t **ret) {
        _cleanup_json_ json_t *servers = NULL, *files = NULL, *tools = NULL;
        const atomic_bool *cancelled = job_link_cancelled(run->link);
        bool incomplete = false, too_many = false;
        unsigned silent = 0;
        int r;

        r = discover_servers("", run->policy, &servers, &incomplete);
        if (r >= 0)
                r = discover_sqlite("", run->policy, spec->sqlite, cancelled, &files, &too_many);
        if (r >= 0)
                r = tools_ask(run->tools_path, cancelled, &tools, &silent);
        if (r < 0)
                return r;
        *ret = json_pack("{s:O, s:O, s:O, s:b}", "servers", servers, "sqlite", files, "tools", tools,
                         "incomplete", (int) (incomplete || too_many));
        return *ret ? 0 : -ENOMEM;
}

/* One that cannot be asked is told of by its items. */
static int look_inside(const JobRun *run, const DiscoverySpec *spec, json_t **ret) {
        const DatabaseSource source = { .server = spec->server }; /* of all databases */
        _cleanup_json_ json_t *items = json_array(),
                              *server = json_pack("{s:s, s:n, s:[], s:b}", "type",
                                                  source_type_to_string(spec->type), "version",
                                                  "databases", "more", 0);
        const Look look = {
                .run = run,
                .type = spec->type,
                .source = &source,
                .items = items,
                .server = server,
                .until = usec_add(now_usec(CLOCK_MONOTONIC), LOOK_TIME),
        };
        int r;

        r = items && server ? look_at_server(&look) : -ENOMEM;
        if (r >= 0)
                r = json_set(server, "items", json_incref(items));
        if (r < 0)
                return r;
        *ret = json_pack("{s:O, s:[], s:[], s:{}, s:b}", "server", server, "servers", "sqlite", "tools",
                         "incomplete", 0);
        return *ret ? 0 : -ENOMEM;
}

static int discover(const JobRun *run, JobOutcome *ret, Failure *reterr_failure) {
        _cleanup_(discovery_spec_done) DiscoverySpec spec = DISCOVERY_SPEC_NULL;
        int r;

        assert(ret);

        r = read_spec(run, &spec, reterr_failure);
        if (r < 0)
                return r;
        return source_type_has_server(spec.type) ? look_inside(run, &spec, &ret->result) :
                                                   look_around(run, &spec, &ret->result);
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
