/* SPDX-License-Identifier: Apache-2.0 */
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
        const char *text = strempty(run->request);
        int r;

        r = json_parse_strict(text, strlen(text), JSON_DEPTH_DEFAULT, &json, reterr_failure);
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
        r = json_parse_strict(task.retention, strlen(task.retention), JSON_DEPTH_DEFAULT, &rules,
                              reterr_failure);
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

static int find_repositories(const OrderContext *x, const Run *source, usec_t now, PruneWhen when, Order *o,
                             PruneSpec *spec, Failure *reterr_failure) {
        _cleanup_(archive_ref_done) ArchiveRef archive = ARCHIVE_REF_NULL;
        int r;

        assert(x);
        assert(source);
        assert(o);
        assert(spec);

        r = order_backup_of(x, source, o->node_id, o, &archive, &spec->snapshots, reterr_failure);
        for (size_t i = 0; i < spec->snapshots.n && r == 0; i++) {
                _cleanup_(stored_repository_done) StoredRepository stored = STORED_REPOSITORY_NULL;
                uint64_t id = spec->snapshots.copies[i].target.id;

                r = stored_repository_find(x->store, source->node_id, id, &stored);
                if (r == 0 && is_due(&stored, when, now))
                        spec->prune[spec->n_prune++] = id;
        }
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
        /* Its password is for no other node than the one that writes there. */
        if (r == 0 && ret->node_id != run->node_id)
                return order_refuse(reterr_failure, "RUN_NOT_PRUNABLE",
                                    "The repositories of a node are pruned by that node alone");
        return r;
}

int order_prune(const OrderContext *x, const Run *run, usec_t now, Order *ret, Failure *reterr_failure) {
        _cleanup_(prune_spec_done) PruneSpec spec = PRUNE_SPEC_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(run_done) Run source = RUN_NULL;
        _cleanup_json_ json_t *json = NULL;
        PruneWhen when = PRUNE_NEVER;
        int r;

        assert(x);
        assert(run);
        assert(ret);

        order_init(ret);
        ret->node_id = run->node_id;
        ret->kind = COMMAND_PRUNE;
        r = get_source(x, run, &source, reterr_failure);
        if (r == 0)
                r = order_get_node(x, run, &node, reterr_failure);
        if (r != 0)
                return r;
        spec.run = run->id;
        spec.source_run = source.id;
        r = read_request(run, &when, reterr_failure);
        if (r == 0)
                r = find_retention(x, &source, &spec, reterr_failure);
        if (r == -EBADMSG)
                return ORDER_E_REFUSED;
        if (r == 0 && !spec.tag && when != PRUNE_NOW)
                r = order_refuse(reterr_failure, "TASK_KEEPS_ALL",
                                 "The task is gone or keeps all of its snapshots: there is nothing to"
                                 " remove");
        if (r == 0)
                r = find_repositories(x, &source, now, when, ret, &spec, reterr_failure);
        if (r == 0)
                r = prune_spec_build(&spec, &json);
        if (r == 0)
                r = order_add_ended(x, source.node_id, json);
        if (r == 0)
                r = json_format(json, &ret->spec, NULL);
        return r != 0 ? r : order_seal(ret, &node);
}
