/* SPDX-License-Identifier: Apache-2.0 */

/* One command of a claim's answer: taken apart and checked as before it is accepted. */

#include "agent/daemon/delivery.h"
#include "agent/daemon/work-check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_failure_ Failure f = FAILURE_NULL, g = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        Delivery d = {};

        if (json_parse_strict(data, size, JSON_DEPTH_DEFAULT, &json, NULL) < 0)
                return 0;
        if (delivery_read(json, &d, &f) < 0) {
                assert(failure_is_set(&f));
                return 0;
        }
        assert(d.name.command > 0);
        assert(d.spec && d.kind);
        if (work_check(command_kind_from_string(d.kind), d.spec, "/nonexistent/policy.yaml", &g) < 0)
                assert(failure_is_set(&g));
        return 0;
}
