/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/order.h"

/* Somebody has just entered it. */
static int open_entered(const OrderContext *x, const ProbeRequest *p, const DatabaseServer *server, Order *o,
                        Failure *reterr_failure) {
        return order_open_database(x, p->sealed, "The password of user", strempty(server->user), o,
                                   reterr_failure);
}

static int get_task(const OrderContext *x, uint64_t id, Task *ret, Failure *reterr_failure) {
        int r;

        r = task_get(x->store, id, ret);
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND) {
                failure_set(reterr_failure, 0, "TASK_NOT_FOUND", "There is no task %" PRIu64, id);
                return ORDER_E_REFUSED;
        }
        if (!source_type_has_dumps(source_type_from_string(ret->type))) {
                failure_set(reterr_failure, 0, "TASK_INVALID",
                            "The task '%s' is of no server that can be asked", strempty(ret->name));
                return ORDER_E_REFUSED;
        }
        return 0;
}

int order_check_place(const Task *task, const Node *node, Failure *reterr_failure) {
        assert(task);
        assert(node);

        if (task->node_label ? node_has_label(node, task->node_label) : task->node_id == node->id)
                return 0;
        failure_set(reterr_failure, 0, "NODE_INVALID",
                    "The task '%s' does not run on the node '%s', which its password is not for: name a "
                    "task of that node",
                    strempty(task->name), strempty(node->name));
        return ORDER_E_REFUSED;
}

/* --- Discovery --- */

static int discovery_of_task(const OrderContext *x, const ProbeRequest *p, const Node *node,
                             DiscoverySpec *ret, Order *o, Failure *reterr_failure) {
        _cleanup_(task_done) Task task = TASK_NULL;
        int r;

        r = get_task(x, p->task_id, &task, reterr_failure);
        if (r == 0)
                r = order_check_place(&task, node, reterr_failure);
        if (r != 0)
                return r;
        ret->type = source_type_from_string(task.type);
        r = order_server_of(&task, &ret->server, reterr_failure);
        return r != 0 ? r : order_add_database(x, task.id, task.name, o, reterr_failure);
}

int order_discovery(const OrderContext *x, const ProbeRequest *p, const Node *node, Order *o,
                    Failure *reterr_failure) {
        _cleanup_(discovery_spec_done) DiscoverySpec of_task = DISCOVERY_SPEC_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r = 0;

        assert(x);
        assert(p);
        assert(node);
        assert(o);

        if (p->task_id > 0)
                r = discovery_of_task(x, p, node, &of_task, o, reterr_failure);
        else if (p->sealed)
                r = open_entered(x, p, &p->discovery.server, o, reterr_failure);
        if (r != 0)
                return r;
        r = discovery_spec_build(p->task_id > 0 ? &of_task : &p->discovery, &json);
        return r < 0 ? r : json_format(json, &o->spec, NULL);
}

/* --- Tasks --- */

static bool same_server(const DatabaseServer *a, const DatabaseServer *b) {
        return streq_ptr(a->host, b->host) && a->port == b->port && streq_ptr(a->socket, b->socket) &&
                        streq_ptr(a->user, b->user) && a->tls == b->tls && streq_ptr(a->tls_ca, b->tls_ca);
}

/* The password that a task has is for its server and its nodes alone, whatever is being written. */
static int open_kept(const OrderContext *x, const ProbeRequest *p, const Node *node, Order *o,
                     Failure *reterr_failure) {
        _cleanup_(database_server_done) DatabaseServer server = DATABASE_SERVER_NULL;
        _cleanup_(task_done) Task task = TASK_NULL;
        int r;

        r = get_task(x, p->task_id, &task, reterr_failure);
        if (r == 0)
                r = order_check_place(&task, node, reterr_failure);
        if (r == 0)
                r = order_server_of(&task, &server, reterr_failure);
        if (r != 0)
                return r;
        if (source_type_from_string(task.type) != p->test.type ||
            !same_server(&server, &p->test.database.server))
                return order_refuse(reterr_failure, "TASK_CHANGED",
                                    "The task has another server than the one that is tested: enter the "
                                    "password again");
        return order_add_database(x, task.id, task.name, o, reterr_failure);
}

typedef struct Targets {
        SpecTarget *items;
        size_t n;
} Targets;

static void targets_done(Targets *t) {
        for (size_t i = 0; i < t->n; i++)
                spec_target_done(t->items + i);
        free(t->items);
}

static int add_target(const OrderContext *x, uint64_t id, Targets *targets, Order *o,
                      Failure *reterr_failure) {
        _cleanup_(target_done) Target target = TARGET_NULL;
        int r;

        r = target_get(x->store, id, &target);
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND) {
                failure_set(reterr_failure, 0, "TARGET_NOT_FOUND", "There is no target %" PRIu64, id);
                return ORDER_E_REFUSED;
        }
        r = order_spec_target(&target, NULL, targets->items + targets->n);
        if (r < 0)
                return r;
        targets->n++;
        return order_add_target(x, o, &target, ORDER_TEST_PREFIX,
                                RELAY_VERB_PUT | RELAY_VERB_GET | RELAY_VERB_DELETE, reterr_failure);
}

int order_task_test(const OrderContext *x, const ProbeRequest *p, const Node *node, Order *o,
                    Failure *reterr_failure) {
        _cleanup_(targets_done) Targets targets = {};
        _cleanup_json_ json_t *json = NULL;
        TaskTestSpec spec; /* has nothing of its own */
        int r = 0;

        assert(x);
        assert(p);
        assert(node);
        assert(o);

        /* What is not asked needs no password. */
        if (!source_type_has_dumps(p->test.type))
                r = 0;
        else if (p->sealed)
                r = open_entered(x, p, &p->test.database.server, o, reterr_failure);
        else if (p->task_id > 0)
                r = open_kept(x, p, node, o, reterr_failure);
        if (r != 0)
                return r;
        targets.items = new0(SpecTarget, MAX(p->n_targets, (size_t) 1));
        if (!targets.items)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_targets; i++) {
                r = add_target(x, p->target_ids[i], &targets, o, reterr_failure);
                if (r != 0)
                        return r;
        }
        spec = p->test;
        spec.targets = targets.items;
        spec.n_targets = targets.n;
        r = task_test_spec_build(&spec, &json);
        return r < 0 ? r : json_format(json, &o->spec, NULL);
}
