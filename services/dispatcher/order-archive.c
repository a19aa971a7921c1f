/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "services/dispatcher/order.h"

/* The copies of a run's archive with their targets as they are now. */
typedef struct Copies {
        RunTargetList list;
        Target targets[TASK_TARGETS_MAX];
        CopyView views[TASK_TARGETS_MAX];
        size_t n;
} Copies;

static void copies_done(Copies *c) {
        for (size_t i = 0; i < c->n; i++)
                target_done(c->targets + i);
        run_target_list_done(&c->list);
}

static int copies_load(const OrderContext *x, const Run *source, Copies *ret) {
        int r;

        assert(x);
        assert(source);
        assert(ret);

        memset(ret, 0, sizeof *ret);
        r = run_targets_get(x->store, source->id, &ret->list);
        if (r < 0)
                return r;
        for (; ret->n < ret->list.n && ret->n < ELEMENTSOF(ret->targets); ret->n++) {
                const RunTarget *t = ret->list.items + ret->n;

                r = target_get(x->store, t->target_id, ret->targets + ret->n);
                if (r < 0)
                        return r;
                ret->views[ret->n] = (CopyView){
                        .state = t->key ? t->state : RUN_TARGET_FAILED,
                        .type = ret->targets[ret->n].type,
                };
        }
        return 0;
}

int order_spec_target(const Target *target, const char *prefix, SpecTarget *ret) {
        _cleanup_(spec_target_done) SpecTarget t = SPEC_TARGET_NULL;
        int r;

        assert(target);
        assert(ret);

        t.id = target->id;
        t.name = strdup(strempty(target->name));
        t.type = strdup(strempty(target->type));
        if (!t.name || !t.type)
                return -ENOMEM;
        r = free_and_strdup(&t.prefix, prefix);
        if (r < 0)
                return r;
        if (isempty(target->config)) {
                t.config = json_object();
                if (!t.config)
                        return -ENOMEM;
        } else {
                r = json_parse_text(target->config, &t.config, NULL);
                if (r < 0)
                        return r;
        }
        *ret = t;
        t = SPEC_TARGET_NULL;
        return 0;
}

static int add_copy(const OrderContext *x, const Copies *c, size_t i, Order *o,
                    ArchiveCopy *copy) {
        int r;

        assert(c);
        assert(copy);

        copy->key = strdup(c->list.items[i].key);
        if (!copy->key)
                return -ENOMEM;
        r = order_spec_target(c->targets + i, NULL, &copy->target);
        if (r < 0)
                return r;
        return order_add_target(x, o, c->targets + i, copy->key, RELAY_VERB_GET, NULL);
}

static int refuse_unreachable(const Run *source, const char *whom, Failure *reterr_failure) {
        failure_set(reterr_failure, 0, "ARCHIVE_UNREACHABLE",
                    "No copy of what run %" PRIu64
                    " backed up can be reached from %s; a target of type 'local' is a"
                    " directory of the node that wrote it ('%s')",
                    source->id, whom, strempty(source->node_name));
        return ORDER_E_REFUSED;
}

static int add_copies(const OrderContext *x, const Copies *c, const size_t *order, size_t n, Order *o,
                      ArchiveRef *archive) {
        int r;

        assert(archive);

        r = add_copy(x, c, order[0], o, &archive->primary);
        if (r != 0 || n == 1)
                return r;
        archive->copies = new0(ArchiveCopy, n - 1);
        if (!archive->copies)
                return -ENOMEM;
        for (size_t i = 1; i < n; i++) {
                archive->n_copies = i;
                r = add_copy(x, c, order[i], o, archive->copies + i - 1);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int find_archive(const OrderContext *x, const Run *source, uint64_t reader, Order *o, ArchiveRef *ret,
                        Failure *reterr_failure) {
        _cleanup_(archive_ref_done) ArchiveRef archive = ARCHIVE_REF_NULL;
        _cleanup_(copies_done) Copies copies = {};
        size_t order[TASK_TARGETS_MAX], n;
        int r;

        assert(x);
        assert(source);
        assert(ret);

        if (!source->manifest_sha256 ||
            hex_decode(source->manifest_sha256, archive.manifest_sha256, sizeof archive.manifest_sha256) <
                            0) {
                failure_set(reterr_failure, 0, "RUN_NOT_RESTORABLE", "Run %" PRIu64 " left no archive",
                            source->id);
                return ORDER_E_REFUSED;
        }
        r = copies_load(x, source, &copies);
        if (r < 0)
                return r;
        n = choose_copies(copies.views, copies.n, source->node_id, reader, order);
        if (n == 0)
                return refuse_unreachable(source, "this node", reterr_failure);
        r = add_copies(x, &copies, order, n, o, &archive);
        if (r == 0)
                r = order_file_keys(x, source, o, &archive.encrypted, reterr_failure);
        if (r != 0)
                return r;
        *ret = archive;
        archive = ARCHIVE_REF_NULL;
        return 0;
}

static bool is_in(OrderPart part, const Target *target) {
        switch (part) {
        case ORDER_ALL:
                return true;
        case ORDER_RELAYS:
                return order_target_is_relay(target);
        case ORDER_OTHERS:
                return !order_target_is_relay(target);
        }
        return false;
}

/* The copies that are snapshots on targets of this part; the others are no copies. */
static int copies_load_snapshots(const OrderContext *x, const Run *source, OrderPart part, Copies *ret) {
        int r;

        assert(ret);

        r = copies_load(x, source, ret);
        for (size_t i = 0; i < ret->n; i++)
                if (!ret->list.items[i].snapshot || !is_in(part, ret->targets + i))
                        ret->views[i].state = RUN_TARGET_FAILED;
        return r;
}

int order_snapshots_of(const OrderContext *x, const Run *source, uint64_t reader, OrderPart part, Order *o,
                       SnapshotRef *ret, Failure *reterr_failure) {
        _cleanup_(snapshot_ref_done) SnapshotRef snapshots = SNAPSHOT_REF_NULL;
        _cleanup_(copies_done) Copies copies = {};
        size_t order[TASK_TARGETS_MAX], n;
        int r;

        assert(source);
        assert(ret);

        r = copies_load_snapshots(x, source, part, &copies);
        if (r < 0)
                return r;
        n = choose_copies(copies.views, copies.n, source->node_id, reader, order);
        if (n == 0)
                return refuse_unreachable(source, "this node", reterr_failure);
        snapshots.copies = new0(SnapshotCopy, n);
        if (!snapshots.copies)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = order_snapshot(x, source->node_id, copies.targets + order[i],
                                   copies.list.items + order[i], o, snapshots.copies + snapshots.n++,
                                   reterr_failure);
                if (r != 0)
                        return r;
        }
        *ret = snapshots;
        snapshots = SNAPSHOT_REF_NULL;
        return 0;
}

/* As the node that wrote them reaches them: all of them. */
int order_count_snapshots(const OrderContext *x, const Run *source, size_t *ret_relays,
                          size_t *ret_others) {
        _cleanup_(copies_done) Copies relays = {}, others = {};
        size_t order[TASK_TARGETS_MAX];
        int r;

        assert(source);
        assert(ret_relays);
        assert(ret_others);

        r = copies_load_snapshots(x, source, ORDER_RELAYS, &relays);
        if (r >= 0)
                r = copies_load_snapshots(x, source, ORDER_OTHERS, &others);
        if (r < 0)
                return r;
        *ret_relays = choose_copies(relays.views, relays.n, source->node_id, source->node_id, order);
        *ret_others = choose_copies(others.views, others.n, source->node_id, source->node_id, order);
        return 0;
}

int order_backup_of(const OrderContext *x, const Run *source, uint64_t reader, Order *o, ArchiveRef *ret,
                    SnapshotRef *ret_snapshots, Failure *reterr_failure) {
        assert(source);

        if (streq_ptr(source->format, FORMAT_REPOSITORY))
                return order_snapshots_of(x, source, reader, ORDER_ALL, o, ret_snapshots, reterr_failure);
        return find_archive(x, source, reader, o, ret, reterr_failure);
}

static int node_is_online(const OrderContext *x, uint64_t id, bool *ret) {
        _cleanup_(node_done) Node node = NODE_NULL;
        int r;

        r = node_get(x->store, id, &node);
        if (r < 0)
                return r;
        *ret = r == 0 && node.state == NODE_ONLINE && node.public_key;
        return 0;
}

int order_archive_reader(const OrderContext *x, const Run *source, uint64_t *ret, Failure *reterr_failure) {
        _cleanup_(copies_done) Copies copies = {};
        bool writer_online, local_online;
        uint64_t reader;
        int r;

        assert(x);
        assert(source);
        assert(ret);

        r = copies_load(x, source, &copies);
        if (r >= 0)
                r = node_is_online(x, source->node_id, &writer_online);
        if (r >= 0)
                r = node_is_online(x, NODE_LOCAL, &local_online);
        if (r < 0)
                return r;
        reader = choose_reader(copies.views, copies.n, source->node_id, writer_online, local_online);
        if (reader == 0)
                return refuse_unreachable(source, "a node that is online now", reterr_failure);
        *ret = reader;
        return 0;
}
