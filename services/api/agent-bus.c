/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "sys/bus.h"
#include "sys/log.h"
#include "wire/names.h"

#include "services/api/agent-private.h"
#include "services/api/sibling-bus.h"

static int on_command_queued(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agents *agents = ASSERT_PTR(userdata);
        uint64_t node_id;
        AgentNode *node;
        int r;

        r = sd_bus_message_read(m, "t", &node_id);
        if (r < 0)
                return log_warning_errno(r, "Failed to read a signal of the dispatcher, ignoring: %m");
        node = agents_find(agents, node_id);
        if (node)
                agent_claim_wake(node);
        return 0;
}

int agent_bus_start(Agents *agents) {
        return bus_peer_match(siblings_dispatcher(agents->api->siblings), BUS_DISPATCHER_INTERFACE,
                              "CommandQueued", on_command_queued, agents);
}

typedef struct Pin {
        AgentPinReply reply;
        void *userdata;
} Pin;

static int on_pin_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(freep) Pin *pin = ASSERT_PTR(userdata);
        int r, pinned = 0;

        if (sd_bus_message_is_method_error(m, NULL)) {
                log_warning("The dispatcher did not pin a node's key: %s",
                            sd_bus_message_get_error(m)->message);
                pin->reply(-EIO, pin->userdata);
                return 0;
        }
        r = sd_bus_message_read(m, "b", &pinned);
        pin->reply(r < 0 ? r : pinned, pin->userdata);
        return 0;
}

int agent_bus_pin(Agents *agents, uint64_t node_id, const char *key, AgentPinReply reply, void *userdata) {
        _cleanup_(freep) Pin *pin = new0(Pin, 1);
        int r;

        assert(agents);

        if (!pin)
                return -ENOMEM;
        *pin = (Pin){ .reply = reply, .userdata = userdata };
        r = bus_peer_call_async(siblings_dispatcher(agents->api->siblings), BUS_DISPATCHER_INTERNAL,
                                "PinKey", on_pin_reply, pin, "ts", node_id, key);
        if (r < 0)
                return r;
        TAKE_PTR(pin);
        return 0;
}

void agent_bus_seen(Agents *agents, uint64_t node_id) {
        int r;

        assert(agents);

        r = bus_peer_call_async(siblings_dispatcher(agents->api->siblings), BUS_DISPATCHER_INTERNAL,
                                "NodeSeen", NULL, NULL, "t", node_id);
        if (r < 0)
                log_debug_errno(r, "Cannot tell the dispatcher of a node, ignoring: %m");
}
