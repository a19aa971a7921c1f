/* SPDX-License-Identifier: Apache-2.0 */

/* A task may name a label instead of a node: its run goes to the one that has the least to do among those
 * that can take it now. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "services/dispatcher/dispatcher.h"
#include "store/queue-wait.h"

/* Who has the label, and why those who cannot take the run cannot. */
typedef struct Pool {
        PoolNode *nodes;
        size_t n;
        unsigned away;
        unsigned disabled;
        unsigned draining;
        unsigned keyless;
} Pool;

static void pool_done(Pool *p) {
        free(p->nodes);
        *p = (Pool){};
}

static bool is_usable(Pool *p, const Node *node) {
        assert(p);
        assert(node);

        if (!node->enabled)
                p->disabled++;
        else if (node->draining)
                p->draining++;
        else if (node->state != NODE_ONLINE)
                p->away++;
        else if (!node->public_key)
                p->keyless++;
        else
                return true;
        return false;
}

static int add_node(Dispatcher *d, Pool *p, const Node *node) {
        PoolNode *grown;
        QueueCounts counts;
        int r;

        assert(d);
        assert(p);
        assert(node);

        r = queue_counts(d->store, node->id, &counts);
        if (r < 0)
                return r;
        grown = reallocarray(p->nodes, p->n + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        p->nodes = grown;
        p->nodes[p->n++] = (PoolNode){
                .id = node->id,
                .usable = is_usable(p, node),
                .load = counts.pending + counts.dispatched + counts.accepted,
                .capacity = node_places(node),
        };
        return 0;
}

static int collect(Dispatcher *d, const char *label, Pool *p) {
        uint64_t after = 0;

        assert(d);

        for (;;) {
                _cleanup_(node_list_done) NodeList list = NODE_LIST_NULL;
                int r;

                r = nodes_list(d->store, after, DISPATCHER_PAGE, &list);
                for (size_t i = 0; i < list.n && r >= 0; i++) {
                        after = list.items[i].id;
                        if (node_has_label(list.items + i, label))
                                r = add_node(d, p, list.items + i);
                }
                if (r < 0)
                        return r;
                if (list.n < DISPATCHER_PAGE)
                        return 0;
        }
}

static int explain(const Pool *p, const char *label, char **ret) {
        assert(p);

        const struct {
                unsigned n;
                const char *what;
        } parts[] = {
                { p->away, "offline" },
                { p->draining, "drained" },
                { p->disabled, "disabled" },
                { p->keyless, "without a key" },
        };
        _cleanup_(buffer_done) Buffer text = BUFFER_NULL;
        const char *before = "";
        int r;

        if (p->n == 0)
                return asprintf_safe(ret, "a node with the label '%s', which none has", label);
        r = buffer_printf(&text, "an online node with the label '%s' (of %zu: ", label, p->n);
        for (size_t i = 0; i < ELEMENTSOF(parts) && r >= 0; i++) {
                if (parts[i].n == 0)
                        continue;
                r = buffer_printf(&text, "%s%u %s", before, parts[i].n, parts[i].what);
                before = ", ";
        }
        if (r >= 0)
                r = buffer_add_string(&text, ")");
        return r < 0 ? r : asprintf_safe(ret, "%s", text.data);
}

int dispatcher_pick_node(Dispatcher *d, const char *label, Node *ret, char **ret_why) {
        _cleanup_(pool_done) Pool pool = {};
        const PoolNode *best;
        int r;

        assert(d);
        assert(label);
        assert(ret);
        assert(ret_why);

        r = collect(d, label, &pool);
        if (r < 0)
                return r;
        best = choose_pool_node(pool.nodes, pool.n);
        if (best)
                return node_get(d->store, best->id, ret);
        r = explain(&pool, label, ret_why);
        return r < 0 ? r : 1;
}
