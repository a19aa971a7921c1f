/* SPDX-License-Identifier: Apache-2.0 */

/* What a prune left. A job speaks of the repositories alone that its command named, and of those that the
 * backup wrote to which the run is about. It names what is there instead of what it removed: so what another
 * one removed, a job that died or stock restic, is known as well. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "services/dispatcher/dispatcher.h"
#include "store/stored-repository.h"
#include "wire/prune.h"

static bool is_named(const RunTargetList *targets, uint64_t id) {
        for (size_t i = 0; i < targets->n; i++)
                if (targets->items[i].target_id == id && targets->items[i].snapshot)
                        return true;
        return false;
}

static bool is_given(const PruneSpec *spec, uint64_t id) {
        for (size_t i = 0; i < spec->snapshots.n; i++)
                if (spec->snapshots.copies[i].target.id == id)
                        return true;
        return false;
}

static int read_spec(const Command *c, PruneSpec *ret) {
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(ret);

        r = json_parse_text(c->spec, &json, NULL);
        return r < 0 ? r : prune_spec_parse(json, ret, NULL);
}

static int take_target(Dispatcher *d, const Run *run, const Command *c, const PruneTarget *t) {
        _cleanup_(freep) char *ids = NULL;
        int r = 0;

        assert(d);
        assert(run);
        assert(c);
        assert(t);

        if (t->snapshots) {
                r = json_format(t->snapshots, &ids, NULL);
                /* What was committed later was not there when the job looked. */
                if (r >= 0)
                        r = stored_snapshots_set_listed(d->store, run->node_id, t->target_id, ids,
                                                        c->created);
        }
        if (r >= 0 && t->pruned)
                r = stored_repository_set_pruned(d->store, run->node_id, t->target_id, c->finished);
        return MIN(r, 0);
}

int dispatcher_take_removed(Dispatcher *d, const Run *run, const Command *c) {
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        _cleanup_(prune_outcome_done) PruneOutcome outcome = PRUNE_OUTCOME_NULL;
        _cleanup_(prune_spec_done) PruneSpec spec = PRUNE_SPEC_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(d);
        assert(run);
        assert(c);

        if (!c->result)
                return 0;
        r = json_parse_text(c->result, &json, NULL);
        if (r >= 0)
                r = prune_outcome_parse(json, &outcome, NULL);
        if (r >= 0)
                r = read_spec(c, &spec);
        if (r < 0)
                return r == -ENOMEM ? r : 0; /* the run has failed for it */
        r = run_targets_get(d->store, run->source_run, &targets);
        for (size_t i = 0; i < outcome.n_targets && r >= 0; i++)
                if (is_given(&spec, outcome.targets[i].target_id) &&
                    is_named(&targets, outcome.targets[i].target_id))
                        r = take_target(d, run, c, outcome.targets + i);
        return r;
}
