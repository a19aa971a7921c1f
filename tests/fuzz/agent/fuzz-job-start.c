/* SPDX-License-Identifier: Apache-2.0 */

/* What a job is told. */

#include "agent/job/start.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(job_start_done) JobStart s = JOB_START_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;

        if (json_parse_strict(data, size, JSON_DEPTH_DEFAULT, &json, NULL) < 0)
                return 0;
        if (job_start_parse(json, &s, &f) < 0)
                assert(failure_is_set(&f));
        else
                assert(s.spec && s.context.master_url && s.context.results_dir);
        return 0;
}
