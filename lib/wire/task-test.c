/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/path.h"
#include "wire/task-test.h"

void task_test_spec_done(TaskTestSpec *s) {
        assert(s);

        database_source_done(&s->database);
        strv_free(s->paths);
        task_hooks_done(&s->hooks);
        for (size_t i = 0; i < s->n_targets; i++)
                spec_target_done(s->targets + i);
        free(s->targets);
        *s = TASK_TEST_SPEC_NULL;
}

/* --- Building ----------------------------------------------------------------------------------------- */

static int build_source(const TaskTestSpec *s, json_t *json) {
        json_t *source = NULL;
        int r;

        assert(s);

        if (s->type != SOURCE_FILE) {
                r = database_source_build(&s->database, s->type, &source);
                return r < 0 ? r : json_set(json, "source", source);
        }
        source = json_object();
        r = json_set(source, "paths", json_from_paths(s->paths));
        if (r < 0) {
                json_decref(source);
                return r;
        }
        return json_set(json, "source", source);
}

static int build_hooks(const TaskTestSpec *s, json_t *json) {
        json_t *hooks = NULL;
        int r;

        assert(s);

        if (!task_hooks_any(&s->hooks))
                return 0;
        r = task_hooks_build(&s->hooks, &hooks);
        return r < 0 ? r : json_set(json, "hooks", hooks);
}

static json_t *build_targets(const TaskTestSpec *s) {
        _cleanup_json_ json_t *array = json_array();

        assert(s);

        for (size_t i = 0; i < s->n_targets; i++) {
                json_t *target = NULL;

                if (spec_target_build(s->targets + i, &target) < 0 || json_append(array, target) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

int task_test_spec_build(const TaskTestSpec *s, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);
        assert(ret);

        r = json_set(json, "type", json_string(source_type_to_string(s->type)));
        if (r >= 0)
                r = build_source(s, json);
        if (r >= 0)
                r = build_hooks(s, json);
        if (r >= 0)
                r = json_set(json, "targets", build_targets(s));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static int lookup_type(const char *s) {
        return source_type_from_string(s);
}

static void read_source(JsonReader *r, TaskTestSpec *s) {
        JsonReader source;

        assert(s);

        if (json_reader_object(r, "source", JSON_REQUIRED, &source) <= 0)
                return;
        if (s->type == SOURCE_FILE)
                (void) json_reader_paths(&source, "paths", JSON_REQUIRED, SPEC_PATHS_MAX, &s->paths);
        else
                (void) database_source_read(&source, s->type, &s->database);
        if (json_reader_finish_lenient(&source) < 0)
                return; /* it sticks to the parent */
}

static void read_hooks(JsonReader *r, TaskTestSpec *s) {
        JsonReader hooks;

        assert(s);

        if (json_reader_object(r, "hooks", JSON_OPTIONAL, &hooks) <= 0)
                return;
        (void) task_hooks_read(&hooks, &s->hooks);
        if (json_reader_finish_lenient(&hooks) < 0)
                return; /* it sticks to the parent */
}

static void read_target(JsonReader *row, void *item) {
        (void) spec_target_read(row, item);
}

int task_test_spec_read(JsonReader *r, TaskTestSpec *ret) {
        static const JsonRows rows = { SPEC_TARGETS_MAX, sizeof(SpecTarget), read_target };
        int type = SOURCE_FILE;

        assert(r);
        assert(ret);

        (void) json_reader_enum(r, "type", JSON_REQUIRED, lookup_type, &type);
        ret->type = (SourceType) type;
        read_source(r, ret);
        read_hooks(r, ret);
        (void) json_reader_rows(r, "targets", JSON_OPTIONAL, &rows, &ret->targets, &ret->n_targets);
        return r->error;
}

int task_test_spec_parse(const json_t *json, TaskTestSpec *ret, Failure *reterr_failure) {
        _cleanup_(task_test_spec_done) TaskTestSpec s = TASK_TEST_SPEC_NULL;
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) task_test_spec_read(&r, &s);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = s;
        s = TASK_TEST_SPEC_NULL;
        return 0;
}
