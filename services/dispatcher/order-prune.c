/* SPDX-License-Identifier: Apache-2.0 */

/* What removes things. No node gets a capability that removes anything from the relay but its own locks: the
 * part of a prune that is behind it is the work of the master's own node, which has the storage at hand. The
 * rest is that of the node that writes there, which may be the only one to reach it. Where there are both,
 * the run has two commands, one after the other, the relay's first: what waits for a node that is away keeps
 * nothing else from being done. settle.c makes one end of both. */

#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/order.h"
#include "store/stored-repository.h"
#include "wire/prune.h"

/* How often space is given back where nobody asks for it. */
#define PRUNE_EVERY_USEC (7 * USEC_PER_DAY)

static int read_request(const Run *run, PruneWhen *ret, Failure *reterr_failure) {
        _cleanup_json_ json_t *json = NULL;
        int r;

        r = json_parse_text(run->request, &json, reterr_failure);
        return r < 0 ? r : prune_request_parse(json, ret, reterr_failure);
}

/* The rules are those of the task as it is now; without a task or rules nothing is forgotten. */
static int find_retention(const OrderContext *x, const Run *source, PruneSpec *spec,
                          Failure *reterr_failure) {
        _cleanup_(task_done) Task task = TASK_NULL;
        _cleanup_json_ json_t *json = NULL, *rules = NULL;
        JsonReader reader;
        int r;

        assert(x);
        assert(source);
        assert(spec);

        if (source->task_id == 0)
                return 0;
        r = task_get(x->store, source->task_id, &task);
        if (r < 0 || r == STORE_E_NOT_FOUND || !task.retention)
                return MIN(r, 0);
        r = json_parse_text(task.retention, &rules, reterr_failure);
        if (r < 0)
                return r;
        json = json_pack("{s:O}", "retention", rules);
        if (!json)
                return -ENOMEM;
        (void) json_reader_init(&reader, json, reterr_failure);
        r = retention_read(&reader, "retention", &spec->retention);
        return r > 0 ? prune_tag(task.id, &spec->tag) : r;
}

/* A clock that was set back is no reason to wait for it. */
static bool is_due(const StoredRepository *stored, PruneWhen when, usec_t now) {
        usec_t last = MAX(stored->pruned, stored->created);

        return when == PRUNE_NOW || (when == PRUNE_DUE && (now < last || now - last >= PRUNE_EVERY_USEC));
}

/* Space is given back where that is due. */
static int choose_due(const OrderContext *x, const Run *source, PruneWhen when, usec_t now,
                      PruneSpec *spec) {
        int r = 0;

        assert(x);
        assert(source);
        assert(spec);

        for (size_t i = 0; i < spec->snapshots.n && r == 0; i++) {
                _cleanup_(stored_repository_done) StoredRepository stored = STORED_REPOSITORY_NULL;
                uint64_t id = spec->snapshots.copies[i].target.id;

                r = stored_repository_find(x->store, source->node_id, id, &stored);
                if (r == 0 && is_due(&stored, when, now))
                        spec->prune[spec->n_prune++] = id;
        }
        return r;
}

/* --- Parts ------------------------------------------------------------------------------------------- */

static bool did_its_part(const Command *c) {
        return c->node_id == NODE_LOCAL &&
                        (c->state == COMMAND_SUCCEEDED || c->state == COMMAND_PARTIAL ||
                         c->state == COMMAND_FAILED);
}

static int relays_are_done(const OrderContext *x, const Run *run, bool *ret) {
        _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
        const CommandFilter filter = { .run_id = run->id };
        int r;

        assert(x);
        assert(ret);

        r = queue_list(x->store, &filter, /* after_id= */ 0, STORE_LIST_MAX, &list);
        if (r < 0)
                return r;
        *ret = false;
        for (size_t i = 0; i < list.n; i++)
                *ret |= did_its_part(list.items + i);
        return 0;
}

/* What is to be done next, and by whom. */
static int choose_part(const OrderContext *x, const Run *run, const Run *source, OrderPart *ret,
                       uint64_t *ret_node) {
        size_t relays = 0, others = 0;
        bool done = false;
        int r;

        assert(run);
        assert(ret);
        assert(ret_node);

        *ret = run->node_id == NODE_LOCAL ? ORDER_ALL : ORDER_OTHERS;
        *ret_node = run->node_id;
        if (*ret == ORDER_ALL)
                return 0;
        r = order_count_snapshots(x, source, &relays, &others);
        if (r >= 0 && relays > 0)
                r = relays_are_done(x, run, &done);
        if (r < 0)
                return r;
        if (relays > 0 && !done) {
                *ret = ORDER_RELAYS;
                *ret_node = NODE_LOCAL;
        }
        return 0;
}

/* A command that waits keeps backups of the node out: of the master's own node none waits. */
static bool takes_work(const Node *node) {
        return node->state == NODE_ONLINE && node->enabled && !node->draining;
}

int order_prune_goes_on(const OrderContext *x, const Run *run, const Command *c, bool *ret) {
        _cleanup_(run_done) Run source = RUN_NULL;
        size_t relays = 0, others = 0;
        int r;

        assert(x);
        assert(run);
        assert(c);
        assert(ret);

        *ret = false;
        if (c->node_id == run->node_id || !did_its_part(c))
                return 0;
        r = run_get(x->store, run->source_run, &source);
        if (r == 0)
                r = order_count_snapshots(x, &source, &relays, &others);
        if (r >= 0)
                *ret = others > 0;
        return MIN(r, 0);
}

/* --- The order --------------------------------------------------------------------------------------- */

static int find_repositories(const OrderContext *x, const Run *source, OrderPart part, Order *o,
                             PruneSpec *spec, Failure *reterr_failure) {
        int r;

        assert(o);
        assert(spec);

        r = order_snapshots_of(x, source, o->node_id, part, o, &spec->snapshots, reterr_failure);
        /* The one place where anything gets the right to remove a repository's objects from the relay. */
        assert(o->n_caps == 0 || o->node_id == NODE_LOCAL);
        for (size_t i = 0; i < o->n_caps; i++)
                o->caps[i].verbs |= RELAY_VERB_PUT | RELAY_VERB_LOCK | RELAY_VERB_DELETE;
        return r;
}

static int get_source(const OrderContext *x, const Run *run, Run *ret, Failure *reterr_failure) {
        int r = run_get(x->store, run->source_run, ret);

        if (r == STORE_E_NOT_FOUND)
                return order_refuse(reterr_failure, "RUN_NOT_FOUND",
                                    "The run whose repositories are meant is gone");
        if (r == 0 && !streq_ptr(ret->format, FORMAT_REPOSITORY))
                return order_refuse(reterr_failure, "RUN_NOT_PRUNABLE",
                                    "The run wrote archives; they stay until they are deleted by hand");
        /* Its passwords are for no other node than the one that writes there, and the master's own. */
        if (r == 0 && ret->node_id != run->node_id)
                return order_refuse(reterr_failure, "RUN_NOT_PRUNABLE",
                                    "The repositories of a node are pruned by that node alone");
        return r;
}

static int fill_prune(const OrderContext *x, const Run *run, const Run *source, PruneWhen *ret_when,
                      PruneSpec *spec, Failure *reterr_failure) {
        int r;

        assert(run);
        assert(source);
        assert(ret_when);
        assert(spec);

        spec->run = run->id;
        spec->source_run = source->id;
        r = read_request(run, ret_when, reterr_failure);
        if (r == 0)
                r = find_retention(x, source, spec, reterr_failure);
        if (r == -EBADMSG)
                return ORDER_E_REFUSED;
        if (r == 0 && !spec->tag && *ret_when != PRUNE_NOW)
                return order_refuse(reterr_failure, "TASK_KEEPS_ALL",
                                    "The task is gone or keeps all of its snapshots: there is nothing to"
                                    " remove");
        return r;
}

int order_prune(const OrderContext *x, const Run *run, usec_t now, Order *ret, Failure *reterr_failure) {
        _cleanup_(prune_spec_done) PruneSpec spec = PRUNE_SPEC_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(run_done) Run source = RUN_NULL;
        _cleanup_json_ json_t *json = NULL;
        PruneWhen when = PRUNE_NEVER;
        OrderPart part = ORDER_ALL;
        int r;

        assert(x);
        assert(run);
        assert(ret);

        order_init(ret);
        ret->kind = COMMAND_PRUNE;
        r = get_source(x, run, &source, reterr_failure);
        if (r == 0)
                r = choose_part(x, run, &source, &part, &ret->node_id);
        if (r == 0)
                r = order_get_node(x, ret->node_id, &node, reterr_failure);
        if (r == 0 && ret->node_id != run->node_id && !takes_work(&node))
                r = ORDER_E_AWAY;
        if (r == 0)
                r = fill_prune(x, run, &source, &when, &spec, reterr_failure);
        if (r == 0)
                r = find_repositories(x, &source, part, ret, &spec, reterr_failure);
        if (r == 0)
                r = choose_due(x, &source, when, now, &spec);
        if (r == 0)
                r = prune_spec_build(&spec, &json);
        if (r == 0)
                r = order_add_ended(x, source.node_id, json);
        if (r == 0)
                r = json_format(json, &ret->spec, NULL);
        return r != 0 ? r : order_seal(ret, &node);
}
