/* SPDX-License-Identifier: Apache-2.0 */

/* What the master allows this node, and what that leaves free. */

#include <inttypes.h>

#include "agent/daemon/agent-private.h"
#include "agent/daemon/claim.h"
#include "agent/daemon/limits.h"
#include "agent/daemon/works.h"
#include "sys/log.h"

static uint32_t capacity(const Agent *a) {
        return a->limits.jobs > 0 ? MIN(a->limits.jobs, a->options->capacity) : a->options->capacity;
}

AgentPlaces agent_free_places(const Agent *a) {
        assert(a);

        return works_places_left(a->works, (AgentPlaces){ capacity(a), a->options->probe_capacity });
}

const AgentLimits *agent_limits(const Agent *a) {
        assert(a);
        return &a->limits;
}

uint64_t agent_bandwidth_share(const Agent *a) {
        assert(a);
        return agent_limits_share(&a->limits, works_count_heavy(a->works));
}

void agent_spread_limits(Agent *a) {
        assert(a);

        for (Work *w = a->works; w; w = w->next)
                work_tell_limits(w);
}

void agent_take_limits(Agent *a, const json_t *json) {
        AgentLimits limits;
        int r;

        assert(a);

        if (!json_is_object(json) || agent_limits_parse(json, &limits) < 0 ||
            agent_limits_equal(&limits, &a->limits))
                return;
        a->limits = limits;
        r = agent_limits_save(a->state_fd, &limits);
        if (r < 0)
                log_warning_errno(r, "The limits of this node cannot be kept, ignoring: %m");
        log_info("The master limits this node to %" PRIu32 " jobs, %" PRIu64 " bytes a second, the weights"
                 " %" PRIu32 " and %" PRIu32 "; 0 is no limit",
                 limits.jobs, limits.bandwidth, limits.cpu_weight, limits.io_weight);
        agent_spread_limits(a);
        claim_update(a->claim);
}
