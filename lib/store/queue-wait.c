/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/queue-wait.h"

uint32_t node_places(const Node *n) {
        assert(n);

        return n->limits.jobs > 0 ? MIN(n->limits.jobs, n->capacity) : n->capacity;
}

/* Why the node does not take it now; NULL: it may any moment. */
static const char *node_hindrance(const Node *n) {
        assert(n);

        if (!n->enabled)
                return "disabled";
        if (n->draining)
                return "drained";
        switch (n->state) {
        case NODE_ONLINE:
                return NULL;
        case NODE_PENDING:
                return "not installed yet";
        case NODE_OFFLINE:
        case _NODE_STATE_MAX:
        case _NODE_STATE_INVALID:
                break;
        }
        return "offline";
}

static int pending_waits_for(const Command *c, const Node *n, const NodeQueue *q, char **ret) {
        const char *hindrance = node_hindrance(n), *name = strempty(n->name);
        uint64_t taken = q->running + q->dispatched;
        uint32_t places = node_places(n);

        assert(c);

        if (hindrance)
                return asprintf_safe(ret, "node '%s', which is %s", name, hindrance);
        if (c->run_id > 0 && taken >= places)
                return asprintf_safe(ret, "a free place on node '%s': %" PRIu64 " of %" PRIu32 " are taken",
                                     name, taken, places);
        return asprintf_safe(ret, "node '%s' to take it", name);
}

int queue_waits_for(const Command *c, const Node *n, const NodeQueue *q, char **ret) {
        assert(c);
        assert(n);
        assert(q);
        assert(ret);

        switch (c->state) {
        case COMMAND_PENDING:
                return pending_waits_for(c, n, q, ret);
        case COMMAND_DISPATCHED:
                return asprintf_safe(ret, "node '%s' to accept it", strempty(n->name));
        case COMMAND_ACCEPTED:
        case COMMAND_SUCCEEDED:
        case COMMAND_PARTIAL:
        case COMMAND_FAILED:
        case COMMAND_TIMEOUT:
        case COMMAND_CANCELLED:
        case _COMMAND_STATE_MAX:
        case _COMMAND_STATE_INVALID:
                break;
        }
        *ret = NULL;
        return 0;
}
