/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"
#include "wire/hooks.h"

static const char *const hook_policy_table[_HOOK_POLICY_MAX] = {
        [HOOK_POLICY_FAIL] = "fail",
        [HOOK_POLICY_WARN] = "warn",
};

DEFINE_STRING_TABLE(hook_policy, HookPolicy);

void task_hooks_done(TaskHooks *h) {
        assert(h);

        strv_free(h->pre);
        strv_free(h->post);
        *h = TASK_HOOKS_NULL;
}

bool task_hooks_any(const TaskHooks *h) {
        assert(h);
        return h->pre || h->post;
}

static bool is_alphanumeric(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool hook_name_is_valid(const char *name) {
        if (isempty(name) || strlen(name) > HOOK_NAME_MAX || !is_alphanumeric(name[0]))
                return false;
        for (; *name; name++)
                if (!is_alphanumeric(*name) && !strchr("._-", *name))
                        return false;
        return true;
}

static void read_names(JsonReader *r, const char *key, char ***ret) {
        size_t i = 0;

        (void) json_reader_strv(r, key, JSON_OPTIONAL, HOOKS_MAX, HOOK_NAME_MAX, ret);
        if (r->error < 0)
                return;
        STRV_FOREACH(name, *ret) {
                if (!hook_name_is_valid(*name))
                        (void) json_reader_fail_item(r, key, i,
                                                     "is not the name of a hook: " HOOK_NAME_RULE);
                i++;
        }
}

static int lookup_policy(const char *s) {
        return hook_policy_from_string(s);
}

int task_hooks_read(JsonReader *r, TaskHooks *ret) {
        int policy = HOOK_POLICY_FAIL;

        assert(r);
        assert(ret);

        read_names(r, "pre", &ret->pre);
        read_names(r, "post", &ret->post);
        ret->timeout_s = HOOK_TIMEOUT_DEFAULT;
        (void) json_reader_u32(r, "timeout_s", JSON_OPTIONAL, HOOK_TIMEOUT_MAX, &ret->timeout_s);
        if (r->error >= 0 && ret->timeout_s == 0)
                (void) json_reader_fail(r, "timeout_s", "is a number from 1 to %u", HOOK_TIMEOUT_MAX);
        (void) json_reader_enum(r, "on_failure", JSON_OPTIONAL, lookup_policy, &policy);
        ret->on_failure = (HookPolicy) policy;
        return r->error;
}

int task_hooks_build(const TaskHooks *h, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(h);
        assert(ret);

        r = json_set(json, "pre", json_from_strv(h->pre));
        if (r >= 0)
                r = json_set(json, "post", json_from_strv(h->post));
        if (r >= 0)
                r = json_set(json, "timeout_s", json_from_u64(h->timeout_s));
        if (r >= 0)
                r = json_set(json, "on_failure", json_string(hook_policy_to_string(h->on_failure)));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}
