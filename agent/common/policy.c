/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/common/policy.h"
#include "base/alloc.h"
#include "base/text.h"
#include "sys/config.h"
#include "wire/hooks.h"
#include "wire/path.h"

void policy_done(Policy *p) {
        if (!p)
                return;
        strv_free(p->backup_allow);
        strv_free(p->backup_deny);
        strv_free(p->restore_allow);
        strv_free(p->listing_deny);
        strv_free(p->hooks);
        strv_free(p->storage_allow);
        *p = POLICY_NULL;
}

/* restore.allow: paths, or the one word "off". */
static int parse_restore_allow(const ConfigValue *value, void *field, Failure *reterr_failure) {
        Policy *p = CONTAINER_OF(field, Policy, restore_allow);

        assert(value);

        if (!value->is_list && value->n == 1 &&
            (streq(value->items[0], "off") || streq(value->items[0], "no") ||
             streq(value->items[0], "false"))) {
                p->restore_off = true;
                p->restore_allow = strv_free(p->restore_allow);
                return 0;
        }
        p->restore_off = false;
        return config_parse_paths(value, field, reterr_failure);
}

/* A hook is a plain file name: it can be nothing outside of the hooks' folder. */
static int parse_hooks(const ConfigValue *value, void *field, Failure *reterr_failure) {
        assert(value);

        for (size_t i = 0; i < value->n; i++)
                if (!hook_name_is_valid(value->items[i]))
                        return failure_set(reterr_failure, -EINVAL, "POLICY_INVALID",
                                           "a hook is the name of a file, not '%s'", value->items[i]);
        return config_parse_strv(value, field, reterr_failure);
}

static const ConfigItem policy_items[] = {
        { "backup", "allow", config_parse_paths, offsetof(Policy, backup_allow) },
        { "backup", "deny", config_parse_paths, offsetof(Policy, backup_deny) },
        { "restore", "allow", parse_restore_allow, offsetof(Policy, restore_allow) },
        { "listing", "deny", config_parse_paths, offsetof(Policy, listing_deny) },
        { NULL, "hooks", parse_hooks, offsetof(Policy, hooks) },
        { "storage", "allow", config_parse_paths, offsetof(Policy, storage_allow) },
};

int policy_parse(const char *name, const char *data, size_t n, Policy *ret, Failure *reterr_failure) {
        _cleanup_(policy_done) Policy p = POLICY_NULL;
        ConfigArgs args = {
                .items = policy_items,
                .n_items = ELEMENTSOF(policy_items),
                .target = &p,
        };
        int r;

        assert(name);
        assert(data || n == 0);
        assert(ret);

        r = config_parse(&args, name, data, n, reterr_failure);
        if (r < 0)
                return r;

        *ret = p;
        p = POLICY_NULL;
        return 0;
}

int policy_load(const char *path, Policy *ret, Failure *reterr_failure) {
        _cleanup_failure_ Failure inner = FAILURE_NULL;
        _cleanup_(policy_done) Policy p = POLICY_NULL;
        ConfigArgs args = {
                .items = policy_items,
                .n_items = ELEMENTSOF(policy_items),
                .path = path,
                .target = &p,
        };
        int r;

        assert(path);
        assert(ret);

        r = config_load(&args, &inner);
        if (r < 0)
                return failure_set(reterr_failure, r, "POLICY_INVALID",
                                   "%s; nothing is allowed until it is mended", failure_message(&inner, r));

        *ret = p;
        p = POLICY_NULL;
        return 0;
}

/* Whether path is rule or lies below it. */
static bool rule_covers(const char *rule, const char *path) {
        size_t n = strlen(rule);

        while (n > 1 && rule[n - 1] == '/')
                n--;
        if (n == 1)
                return true; /* "/" */
        return strncmp(rule, path, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static const char *find_rule(char *const *rules, const char *path) {
        STRV_FOREACH(rule, rules)
                if (rule_covers(*rule, path))
                        return *rule;
        return NULL;
}

static int check_form(const char *path, Failure *reterr_failure) {
        _cleanup_(freep) char *shown = NULL;

        assert(path);

        if (path_is_normalized_absolute(path))
                return 0;
        (void) !path_display(path, &shown);
        return failure_set(reterr_failure, -EPERM, "POLICY_DENIED",
                           "A path has to be absolute, without '.', '..' or doubled slashes: %s",
                           strempty(shown));
}

static int denied(const char *path, const char *what, const char *rule, Failure *reterr_failure) {
        _cleanup_(freep) char *shown = NULL;

        (void) !path_display(path, &shown);
        if (rule)
                return failure_set(reterr_failure, -EPERM, "POLICY_DENIED",
                                   "This host's policy refuses %s: rule '%s: %s'", strempty(shown), what,
                                   rule);
        return failure_set(reterr_failure, -EPERM, "POLICY_DENIED",
                           "This host's policy refuses %s: no entry of '%s' covers it", strempty(shown),
                           what);
}

int policy_check_backup(const Policy *p, const char *path, Failure *reterr_failure) {
        const char *rule;
        int r;

        assert(p);

        r = check_form(path, reterr_failure);
        if (r < 0)
                return r;
        rule = find_rule(p->backup_deny, path);
        if (rule)
                return denied(path, "backup.deny", rule, reterr_failure);
        if (p->backup_allow && !find_rule(p->backup_allow, path))
                return denied(path, "backup.allow", NULL, reterr_failure);
        return 0;
}

int policy_check_restore_any(const Policy *p, Failure *reterr_failure) {
        assert(p);

        if (p->restore_off)
                return failure_set(reterr_failure, -EPERM, "POLICY_DENIED",
                                   "This host's policy refuses every restore: rule 'restore.allow: off'");
        return 0;
}

int policy_check_restore(const Policy *p, const char *path, Failure *reterr_failure) {
        int r;

        assert(p);

        r = policy_check_restore_any(p, reterr_failure);
        if (r < 0)
                return r;
        r = check_form(path, reterr_failure);
        if (r < 0)
                return r;
        if (p->restore_allow && !find_rule(p->restore_allow, path))
                return denied(path, "restore.allow", NULL, reterr_failure);
        return 0;
}

int policy_check_listing(const Policy *p, const char *path, Failure *reterr_failure) {
        const char *rule;
        int r;

        assert(p);

        r = check_form(path, reterr_failure);
        if (r < 0)
                return r;
        rule = find_rule(p->listing_deny, path);
        return rule ? denied(path, "listing.deny", rule, reterr_failure) : 0;
}

int policy_check_hook(const Policy *p, const char *name, Failure *reterr_failure) {
        assert(p);
        assert(name);

        if (!hook_name_is_valid(name))
                return failure_set(reterr_failure, -EPERM, "POLICY_DENIED",
                                   "A hook is the name of a file: " HOOK_NAME_RULE);
        if (!p->hooks || strv_contains(p->hooks, name))
                return 0;
        return failure_set(reterr_failure, -EPERM, "POLICY_DENIED",
                           "This host's policy refuses the hook %s: 'hooks' does not name it", name);
}

int policy_check_storage(const Policy *p, const char *own, const char *path, Failure *reterr_failure) {
        int r;

        assert(p);
        assert(own);

        r = check_form(path, reterr_failure);
        if (r < 0)
                return r;
        if (rule_covers(own, path) || find_rule(p->storage_allow, path))
                return 0;
        return failure_set(reterr_failure, -EPERM, "POLICY_DENIED",
                           "This host does not let jobs write to %s. As root on that host run: "
                           "backupx agent allow-storage %s",
                           path, path);
}
