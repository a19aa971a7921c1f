/* SPDX-License-Identifier: Apache-2.0 */

/* The limits of a heartbeat's answer, and of the file that root's helper reads. */

#include "agent/daemon/limits.h"
#include "wire/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AgentLimits limits = { .jobs = 7 };
        _cleanup_json_ json_t *json = NULL;

        if (json_parse_strict(data, size, JSON_DEPTH_DEFAULT, &json, NULL) < 0)
                return 0;
        if (agent_limits_parse(json, &limits) < 0) {
                assert(limits.jobs == 7);
                return 0;
        }
        assert(limits.cpu_weight <= AGENT_WEIGHT_MAX && limits.io_weight <= AGENT_WEIGHT_MAX);
        assert(limits.bandwidth == 0 || agent_limits_share(&limits, 3) > 0);
        return 0;
}
