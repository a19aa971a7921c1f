#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The policy of a host, /etc/backupx-agent/policy.yaml: what its own administrator lets the master do there.
 * It is the last word, and no message can change it. Both the agent and each job read it: a job runs with
 * rights that the agent lacks, so it does not believe the agent either.
 *
 *         backup:
 *           allow: [/etc, /srv]     # nothing named: everything
 *           deny: [/srv/secret]     # stronger than allow
 *         restore:
 *           allow: [/srv/restore]   # or off; nothing named: everywhere
 *         listing:
 *           deny: [/root]
 *         hooks: [pause-database]   # of those in hooks.d; nothing named: all of them
 *         storage:
 *           allow: [/mnt/disk]      # where local targets may be, beside <state>/storage
 *
 * A rule names a path and everything below it. Drop-ins (in policy.yaml.d) are read behind the file. */

#include "base/failure.h"
#include "base/macros.h"

#define POLICY_PATH_DEFAULT "/etc/backupx-agent/policy.yaml"

typedef struct Policy {
        char **backup_allow;
        char **backup_deny;
        char **restore_allow;
        bool restore_off;
        char **listing_deny;
        char **hooks;
        char **storage_allow;
} Policy;

#define POLICY_NULL ((Policy){})

void policy_done(Policy *p);

/* A missing file is the empty policy, which allows everything. A file that cannot be read or understood is
 * an error with code POLICY_INVALID, file and line: nothing is allowed then. */
int policy_load(const char *path, Policy *ret, Failure *reterr_failure) _warn_unused_;
int policy_parse(const char *name, const char *data, size_t n, Policy *ret, Failure *reterr_failure)
                _warn_unused_;

/* 0, or -EPERM with code POLICY_DENIED and the rule. Paths are absolute; "..", "." and doubled slashes in
 * them are refused here, too. */
int policy_check_backup(const Policy *p, const char *path, Failure *reterr_failure);
int policy_check_restore(const Policy *p, const char *path, Failure *reterr_failure);
int policy_check_listing(const Policy *p, const char *path, Failure *reterr_failure);
/* By its name alone: what lies under it in hooks.d is looked at by the keeper of hooks. */
int policy_check_hook(const Policy *p, const char *name, Failure *reterr_failure);
/* Whether a local target may be at path; own is the folder that needs no rule. */
int policy_check_storage(const Policy *p, const char *own, const char *path, Failure *reterr_failure);
/* Whether restoring is allowed anywhere at all. */
int policy_check_restore_any(const Policy *p, Failure *reterr_failure);
