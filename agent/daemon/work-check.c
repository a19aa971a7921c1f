/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/common/policy.h"
#include "agent/daemon/work-check.h"
#include "base/text.h"
#include "wire/feature.h"
#include "wire/prune.h"
#include "wire/task-test.h"

static int check_backup(const json_t *json, const Policy *policy, Failure *reterr_failure) {
        _cleanup_(backup_spec_done) BackupSpec spec = BACKUP_SPEC_NULL;
        int r;

        r = backup_spec_parse(json, &spec, reterr_failure);
        if (r < 0)
                return r;
        if (!streq_ptr(spec.format, FORMAT_ARCHIVE) && !streq_ptr(spec.format, FORMAT_REPOSITORY))
                return failure_set(reterr_failure, -EOPNOTSUPP, "FORMAT_UNSUPPORTED",
                                   "This agent (version %s) does not write the format '%s'", BACKUPX_VERSION,
                                   strempty(spec.format));
        STRV_FOREACH(path, spec.paths) {
                r = policy_check_backup(policy, *path, reterr_failure);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_restore(const json_t *json, const Policy *policy, Failure *reterr_failure) {
        _cleanup_(restore_spec_done) RestoreSpec spec = RESTORE_SPEC_NULL;
        int r;

        r = policy_check_restore_any(policy, reterr_failure);
        if (r >= 0)
                r = restore_spec_parse(json, &spec, reterr_failure);
        if (r >= 0 && spec.destination)
                r = policy_check_restore(policy, spec.destination, reterr_failure);
        return r;
}

static int check_listing(const json_t *json, CommandKind kind, const Policy *policy,
                         Failure *reterr_failure) {
        _cleanup_(listing_spec_done) ListingSpec spec = LISTING_SPEC_NULL;
        int r;

        r = listing_spec_parse(json, kind, &spec, reterr_failure);
        if (r >= 0 && kind == COMMAND_LIST_DIR)
                r = policy_check_listing(policy, spec.path, reterr_failure);
        return r;
}

static int check_read(const json_t *json, Failure *reterr_failure) {
        _cleanup_(read_spec_done) ReadSpec spec = READ_SPEC_NULL;

        return read_spec_parse(json, &spec, reterr_failure);
}

static int check_verify(const json_t *json, Failure *reterr_failure) {
        _cleanup_(verify_spec_done) VerifySpec spec = VERIFY_SPEC_NULL;

        return verify_spec_parse(json, &spec, reterr_failure);
}

static int check_prune(const json_t *json, Failure *reterr_failure) {
        _cleanup_(prune_spec_done) PruneSpec spec = PRUNE_SPEC_NULL;

        return prune_spec_parse(json, &spec, reterr_failure);
}

static int check_target(const json_t *json, Failure *reterr_failure) {
        _cleanup_(spec_target_done) SpecTarget target = SPEC_TARGET_NULL;

        return test_storage_spec_parse(json, &target, reterr_failure);
}

/* What the policy denies becomes a part of the answer. */
static int check_task(const json_t *json, Failure *reterr_failure) {
        _cleanup_(task_test_spec_done) TaskTestSpec spec = TASK_TEST_SPEC_NULL;

        return task_test_spec_parse(json, &spec, reterr_failure);
}

static int check_with_policy(CommandKind kind, const json_t *spec, const Policy *policy,
                             Failure *reterr_failure) {
        switch (kind) {
        case COMMAND_BACKUP:
                return check_backup(spec, policy, reterr_failure);
        case COMMAND_RESTORE:
                return check_restore(spec, policy, reterr_failure);
        case COMMAND_LIST_DIR:
        case COMMAND_BROWSE:
                return check_listing(spec, kind, policy, reterr_failure);
        case COMMAND_READ_FILE:
                return check_read(spec, reterr_failure);
        case COMMAND_TEST_STORAGE:
                return check_target(spec, reterr_failure);
        case COMMAND_TEST_TASK:
                return check_task(spec, reterr_failure);
        case COMMAND_SELF_CHECK:
        case COMMAND_DISCOVER_DATABASES:
        case COMMAND_RCLONE_BACKENDS:
                return 0;
        case COMMAND_VERIFY:
                return check_verify(spec, reterr_failure);
        case COMMAND_PRUNE:
                return check_prune(spec, reterr_failure);
        case _COMMAND_KIND_MAX:
        case _COMMAND_KIND_INVALID:
                break;
        }
        return failure_set(reterr_failure, -EOPNOTSUPP, "KIND_UNSUPPORTED",
                           "This agent (version %s) cannot do this kind of command", BACKUPX_VERSION);
}

int work_check(CommandKind kind, const json_t *spec, const char *policy_path, Failure *reterr_failure) {
        _cleanup_(policy_done) Policy policy = POLICY_NULL;
        int r;

        assert(spec);
        assert(policy_path);

        r = spec_check_needs(spec, reterr_failure);
        if (r < 0)
                return r;
        if (kind == COMMAND_SELF_CHECK)
                return 0; /* it tells what is wrong with the policy */
        /* Read anew each time: what the administrator wrote counts from now on. */
        r = policy_load(policy_path, &policy, reterr_failure);
        return r < 0 ? r : check_with_policy(kind, spec, &policy, reterr_failure);
}
