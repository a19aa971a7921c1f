#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What test_task is told: the parts of a task that a run of it depends on, as they are written or kept, from
 * the API over the dispatcher, who adds the targets, to the job:
 *
 *         {"type":"mysql","source":{"server":{…},"databases":[…]},"hooks":{…},"targets":[{…},…]}
 *
 * The job answers with a report as in wire/check.h. */

#include "wire/command.h"

typedef struct TaskTestSpec {
        SourceType type;
        DatabaseSource database; /* of a type that is no file */
        char **paths;            /* of files */
        TaskHooks hooks;
        SpecTarget *targets; /* may be none: a task that is being written */
        size_t n_targets;
} TaskTestSpec;

#define TASK_TEST_SPEC_NULL ((TaskTestSpec){ .hooks = TASK_HOOKS_NULL })
void task_test_spec_done(TaskTestSpec *s);
int task_test_spec_build(const TaskTestSpec *s, json_t **ret) _warn_unused_;
/* Reads the fields; the caller finishes the reader. What is wrong sticks to it. */
int task_test_spec_read(JsonReader *r, TaskTestSpec *ret);
int task_test_spec_parse(const json_t *json, TaskTestSpec *ret, Failure *reterr_failure) _warn_unused_;
