#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The hooks of a task: programs of the node's own administrator that run before and after a backup. A master
 * names them; what they are is in hooks.d of the node. One codec from the client's body over the task's row
 * to the job's spec and on to the keeper of hooks:
 *
 *         {"pre":["freeze"],"post":["thaw"],"timeout_s":60,"on_failure":"fail"} */

#include <errno.h>

#include "wire/json.h"

/* Of each phase; they run one after the other, each with the whole time. */
#define HOOKS_MAX 8U
#define HOOK_NAME_MAX 64U
#define HOOK_TIMEOUT_DEFAULT 60U
#define HOOK_TIMEOUT_MAX 3600U

#define HOOK_NAME_RULE "letters, digits, '.', '_' and '-', a letter or digit in front, at most 64 of them"

typedef enum HookPolicy {
        HOOK_POLICY_FAIL, /* a pre hook that fails ends the run as failed, a post hook as partial */
        HOOK_POLICY_WARN, /* either is a warning in the log */
        _HOOK_POLICY_MAX,
        _HOOK_POLICY_INVALID = -EINVAL,
} HookPolicy;

/* "fail", "warn". */
DECLARE_STRING_TABLE(hook_policy, HookPolicy);

typedef struct TaskHooks {
        char **pre, **post;
        uint32_t timeout_s;
        HookPolicy on_failure;
} TaskHooks;

#define TASK_HOOKS_NULL ((TaskHooks){ .timeout_s = HOOK_TIMEOUT_DEFAULT })
void task_hooks_done(TaskHooks *h);
/* Whether there is anything to run. */
bool task_hooks_any(const TaskHooks *h);
/* A plain file name. */
bool hook_name_is_valid(const char *name);
/* Reads the fields; the caller finishes the reader, strictly or not. What is wrong sticks to it. */
int task_hooks_read(JsonReader *r, TaskHooks *ret);
int task_hooks_build(const TaskHooks *h, json_t **ret) _warn_unused_;
