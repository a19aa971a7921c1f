/* SPDX-License-Identifier: Apache-2.0 */

/* The log of a result file, and names of files in results/: a job wrote them, or somebody else. */

#include "agent/common/log-ring.h"
#include "agent/common/results.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(log_ring_done) LogRing ring = LOG_RING_NULL;
        _cleanup_json_ json_t *json = NULL;
        char name[300] = "", again[WORK_NAME_MAX];
        WorkName parsed;

        memcpy(name, data, MIN(size, sizeof(name) - 1));
        if (work_name_parse(name, ".json", &parsed) >= 0)
                assert(streq(work_name_format(again, parsed, ".json"), name));
        if (json_parse_strict(data, size, JSON_DEPTH_DEFAULT, &json, NULL) < 0)
                return 0;
        (void) !log_ring_read(&ring, json_object_get(json, "log"));
        assert(ring.n <= LOG_RING_LINES && ring.bytes <= LOG_RING_BYTES);
        return 0;
}
