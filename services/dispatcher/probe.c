/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/text.h"
#include "services/dispatcher/dispatcher.h"
#include "sys/log.h"

static usec_t now_wall(void) {
        return now_usec(CLOCK_REALTIME);
}

int dispatcher_probe(Dispatcher *d, const ProbeRequest *request, uint64_t *ret_command,
                     Failure *reterr_failure) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        const OrderContext x = dispatcher_order_context(d);
        _cleanup_(order_done) Order order = {};
        uint64_t command;
        int r;

        assert(d);
        assert(ret_command);

        r = store_begin(d->store, &tx);
        if (r < 0)
                return r;
        r = order_probe(&x, request, &order, reterr_failure);
        if (r == ORDER_E_NO_KEY)
                failure_set(reterr_failure, 0, "NODE_KEY_MISSING",
                            "The agent of this node has not offered its key yet; wait for a heartbeat");
        if (r != 0)
                return r;
        r = dispatcher_queue_order(d, &order, /* run= */ 0, usec_add(now_wall(), DISPATCHER_PROBE_USEC),
                                   &command);
        if (r == QUEUE_E_FULL)
                failure_set(reterr_failure, 0, "QUEUE_FULL", "This node has too many commands waiting");
        if (r != 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        dispatcher_bus_emit_queued(d, order.node_id);
        *ret_command = command;
        return 0;
}

/* One that runs is told of over the node's long poll: the signal makes the API look. */
static int cancel(Dispatcher *d, uint64_t command, uint64_t node, usec_t now) {
        bool ended;
        int r;

        assert(d);

        r = queue_cancel_probe(d->store, command, now, &ended);
        if (r == 0 && !ended)
                dispatcher_bus_emit_queued(d, node);
        return r;
}

int dispatcher_cancel_probe(Dispatcher *d, uint64_t command) {
        _cleanup_(command_done) Command c = COMMAND_NULL;
        int r;

        assert(d);

        r = command_get(d->store, command, &c);
        if (r == 0)
                r = cancel(d, command, c.node_id, now_wall());
        if (r == 0)
                dispatcher_kick(d);
        return r;
}

static int sweep(Dispatcher *d, const Command *c, void *userdata) {
        usec_t now = *(const usec_t *) ASSERT_PTR(userdata);
        int r;

        assert(d);
        assert(c);

        if (c->run_id > 0 || c->deadline == 0 || c->deadline > now)
                return 0;
        /* The wall clock may jump: an agent then hears of the end of a probe that somebody waits for, no
         * more. */
        if (now - c->deadline > DISPATCHER_PROBE_GRACE_USEC)
                r = queue_abandon(d->store, c->id, COMMAND_TIMEOUT, "PROBE_TIMEOUT",
                                  "The agent did not answer in time", now);
        else if (!c->cancel)
                r = cancel(d, c->id, c->node_id, now);
        else
                return 0;
        return r < 0 ? r : 0;
}

int dispatcher_sweep_probes(Dispatcher *d) {
        usec_t now = now_wall();

        return dispatcher_each_open(d, /* node_id= */ 0, sweep, &now);
}
