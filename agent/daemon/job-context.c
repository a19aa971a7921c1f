/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/daemon/job-context.h"

int job_context_build(const Agent *a, json_t **ret) {
        const AgentOptions *o = agent_options(a);
        _cleanup_json_ json_t *context = json_object(), *node = json_object();
        int r;

        assert(ret);

        if (!context || !node)
                return -ENOMEM;
        r = json_set(node, "id", json_from_u64(agent_node_id(a)));
        if (r >= 0)
                r = json_set(node, "name", json_from_string(agent_node_name(a)));
        if (r >= 0)
                r = json_set(context, "node", TAKE_PTR(node));
        if (r >= 0)
                r = json_set(context, "master_url", json_string(o->master));
        if (r >= 0)
                r = json_set(context, "ca_cert", json_from_string(o->ca_cert));
        if (r >= 0)
                r = json_set(context, "pin", json_from_string(o->pin));
        if (r >= 0)
                r = json_set(context, "proxy_url", json_from_string(o->proxy_url));
        if (r >= 0)
                r = json_set(context, "insecure_tls", json_boolean(o->insecure_tls));
        if (r >= 0)
                r = json_set(context, "results_dir", json_string(o->results_dir));
        if (r >= 0)
                r = json_set(context, "bandwidth", json_from_u64(agent_bandwidth_share(a)));
        if (r >= 0)
                r = json_set(context, "cpu_weight", json_from_u64(agent_limits(a)->cpu_weight));
        if (r >= 0)
                r = json_set(context, "io_weight", json_from_u64(agent_limits(a)->io_weight));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(context);
        return 0;
}
