/* SPDX-License-Identifier: Apache-2.0 */

/* rclone_backends: what the rclone of this host says of its backends, for forms. */

#include <errno.h>

#include "agent/job/kinds.h"
#include "base/alloc.h"
#include "base/text.h"
#include "storage/rclone-describe.h"

static int read_spec(const JobRun *run, char **ret_backend, Failure *reterr_failure) {
        JsonReader reader;

        (void) json_reader_init(&reader, run->start->spec, reterr_failure);
        (void) json_reader_strdup(&reader, "backend", JSON_OPTIONAL, RCLONE_NAME_MAX, ret_backend);
        return json_reader_finish_lenient(&reader);
}

/* All of them in short, or the one that was asked for as a whole. */
static int describe(const JobRun *run, JobOutcome *ret, Failure *reterr_failure) {
        _cleanup_(rclone_description_done) RcloneDescription d = {};
        _cleanup_json_ json_t *list = json_array();
        _cleanup_(freep) char *only = NULL;
        int r;

        assert(ret);

        r = read_spec(run, &only, reterr_failure);
        if (r >= 0)
                r = rclone_describe_host(job_link_cancelled(run->link), &d, reterr_failure);
        if (r < 0)
                return r;
        if (only && !rclone_backend_find(&d, only))
                return failure_set(reterr_failure, -ENOENT, "RCLONE_BACKEND_UNKNOWN",
                                   "The rclone of this node has no backend '%s'.", only);
        for (size_t i = 0; i < d.n; i++) {
                json_t *backend = NULL;

                if (only && !streq_ptr(d.backends[i].name, only))
                        continue;
                r = rclone_backend_build(d.backends + i, /* is_whole= */ only != NULL, &backend);
                if (r >= 0)
                        r = json_append(list, backend);
                if (r < 0)
                        return r;
        }
        ret->result = json_pack("{s:O}", "backends", list);
        return ret->result ? 0 : -ENOMEM;
}

void job_kind_rclone(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = describe(run, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
