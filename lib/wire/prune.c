/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/prune.h"

static const char *const prune_when_table[_PRUNE_WHEN_MAX] = {
        [PRUNE_NEVER] = "never",
        [PRUNE_DUE] = "due",
        [PRUNE_NOW] = "now",
};

DEFINE_STRING_TABLE(prune_when, PruneWhen);

int prune_tag(uint64_t task_id, char **ret) {
        return asprintf_safe(ret, "backupx-task-%" PRIu64, task_id);
}

/* --- What a run is asked for ------------------------------------------------------------------------- */

int prune_request_build(PruneWhen when, json_t **ret) {
        assert(ret);

        *ret = json_pack("{s:s}", "space", prune_when_to_string(when));
        return *ret ? 0 : -ENOMEM;
}

static int lookup_when(const char *s) {
        return prune_when_from_string(s);
}

int prune_request_parse(const json_t *json, PruneWhen *ret, Failure *reterr_failure) {
        int when = PRUNE_NOW, k;
        JsonReader r;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_enum(&r, "space", JSON_OPTIONAL, lookup_when, &when);
        k = json_reader_finish(&r);
        if (k >= 0)
                *ret = (PruneWhen) when;
        return k;
}

/* --- The command ------------------------------------------------------------------------------------- */

void prune_spec_done(PruneSpec *s) {
        assert(s);

        snapshot_ref_done(&s->snapshots);
        free(s->tag);
        *s = PRUNE_SPEC_NULL;
}

bool prune_spec_names(const PruneSpec *s, uint64_t target_id) {
        for (size_t i = 0; i < s->n_prune; i++)
                if (s->prune[i] == target_id)
                        return true;
        return false;
}

static json_t *build_prune(const PruneSpec *s) {
        _cleanup_json_ json_t *array = json_array();

        for (size_t i = 0; i < s->n_prune; i++)
                if (json_append(array, json_from_u64(s->prune[i])) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

int prune_spec_build(const PruneSpec *s, json_t **ret) {
        _cleanup_json_ json_t *json = NULL;
        json_t *retention = NULL;
        int r;

        assert(s);
        assert(ret);

        r = spec_about_build(s->run, s->source_run, &s->snapshots, &json);
        if (r >= 0 && s->tag) {
                r = json_set(json, "tag", json_string(s->tag));
                if (r >= 0)
                        r = retention_build(&s->retention, &retention);
                if (r >= 0)
                        r = json_set(json, "retention", retention);
        }
        if (r >= 0)
                r = json_set(json, "prune", build_prune(s));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

static void read_prune(JsonReader *r, PruneSpec *s) {
        const json_t *array = NULL, *item;
        size_t i;

        assert(s);

        if (json_reader_array(r, "prune", JSON_OPTIONAL, SPEC_TARGETS_MAX, &array) <= 0)
                return;
        json_array_foreach((json_t *) array, i, item) {
                json_int_t id = json_is_integer(item) ? json_integer_value(item) : 0;

                if (id <= 0) {
                        (void) json_reader_fail_item(r, "prune", i, "is not the id of a target");
                        return;
                }
                s->prune[s->n_prune++] = (uint64_t) id;
        }
}

int prune_spec_parse(const json_t *json, PruneSpec *ret, Failure *reterr_failure) {
        _cleanup_(prune_spec_done) PruneSpec s = PRUNE_SPEC_NULL;
        bool has_retention;
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) spec_about_read(&r, &s.run, &s.source_run, &s.snapshots);
        has_retention = retention_read(&r, "retention", &s.retention) > 0;
        (void) json_reader_strdup(&r, "tag", has_retention ? JSON_REQUIRED : JSON_OPTIONAL, PRUNE_TAG_MAX,
                                  &s.tag);
        read_prune(&r, &s);
        if (r.error >= 0 && s.tag && !has_retention)
                (void) json_reader_fail(&r, "retention", "has to be there beside a tag");
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = s;
        s = PRUNE_SPEC_NULL;
        return 0;
}

/* --- The answer -------------------------------------------------------------------------------------- */

void prune_outcome_done(PruneOutcome *o) {
        assert(o);

        restore_outcome_done(&o->base);
        for (size_t i = 0; i < o->n_targets; i++)
                json_decref(o->targets[i].snapshots);
        free(o->targets);
        *o = PRUNE_OUTCOME_NULL;
}

static json_t *build_targets(const PruneOutcome *o) {
        _cleanup_json_ json_t *array = json_array();

        assert(o);

        for (size_t i = 0; i < o->n_targets; i++) {
                const PruneTarget *t = o->targets + i;
                json_t *e = json_object();

                if (json_append(array, e) < 0 || json_set(e, "target_id", json_from_u64(t->target_id)) < 0 ||
                    json_set(e, "snapshots", t->snapshots ? json_incref(t->snapshots) : json_null()) < 0 ||
                    json_set(e, "removed", json_from_u64(t->removed)) < 0 ||
                    json_set(e, "pruned", json_boolean(t->pruned)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

int prune_outcome_build(const PruneOutcome *o, json_t **ret) {
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(o);
        assert(ret);

        r = restore_outcome_build(&o->base, &json);
        if (r >= 0)
                r = json_set(json, "repositories", build_targets(o));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

static void read_snapshots(JsonReader *row, PruneTarget *t) {
        const json_t *array = NULL, *item;
        size_t i;

        assert(t);

        if (json_reader_array(row, "snapshots", JSON_OPTIONAL, PRUNE_SNAPSHOTS_MAX, &array) <= 0)
                return;
        json_array_foreach((json_t *) array, i, item) {
                if (snapshot_id_is_valid(json_string_value(item)))
                        continue;
                (void) json_reader_fail_item(row, "snapshots", i, "is not the name of a snapshot");
                return;
        }
        t->snapshots = json_incref((json_t *) array);
}

static void read_target(JsonReader *row, void *item) {
        PruneTarget *t = item;

        (void) json_reader_u64(row, "target_id", JSON_REQUIRED, INT64_MAX, &t->target_id);
        (void) json_reader_u64(row, "removed", JSON_OPTIONAL, INT64_MAX, &t->removed);
        (void) json_reader_bool(row, "pruned", JSON_OPTIONAL, &t->pruned);
        read_snapshots(row, t);
}

static const JsonRows target_rows = { SPEC_TARGETS_MAX, sizeof(PruneTarget), read_target };

int prune_outcome_parse(const json_t *json, PruneOutcome *ret, Failure *reterr_failure) {
        _cleanup_(prune_outcome_done) PruneOutcome o = PRUNE_OUTCOME_NULL;
        JsonReader r;
        int k;

        assert(ret);

        k = restore_outcome_parse(json, &o.base, reterr_failure);
        if (k < 0)
                return k;
        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_rows(&r, "repositories", JSON_OPTIONAL, &target_rows, &o.targets, &o.n_targets);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = o;
        o = PRUNE_OUTCOME_NULL;
        return 0;
}
