/* SPDX-License-Identifier: Apache-2.0 */

/* Any result of any agent: judged without a crash, and green only with every target committed where it was
 * told to and with nothing lost. What was named and not lost (a file that grew) leaves it green. */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/outcome.h"
#include "wire/result.h"

#define SPEC "{\"targets\":[{\"id\":5,\"prefix\":\"n/t/20261122T221501.123Z-12-\"}]}"
#define KEY "n/t/20261122T221501.123Z-12-3/"

#define REPOSITORY "n/repository-1/"
#define REPOSITORY_SPEC "{\"format\":\"repository\",\"targets\":[{\"id\":5,\"prefix\":\"" REPOSITORY "\"}]}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a green backup may say of paths: none of them lost, and those that changed are in its row. */
static void check_green(const char *result, const Outcome *o) {
        _cleanup_(backup_outcome_done) BackupOutcome b = BACKUP_OUTCOME_NULL;
        _cleanup_json_ json_t *json = NULL;

        if (json_parse_text(result, &json, NULL) < 0 || backup_outcome_parse(json, &b, NULL) < 0)
                abort();
        if (b.lost_total > 0 || json_integer_value(json_object_get(json, "lost_total")) > 0)
                abort();
        if (o->end.errors_total < b.figures.n_errors || (b.figures.n_errors > 0 && !o->end.errors))
                abort();
}

/* The same for a snapshot: green only where one is named, in the repository that was. */
static void judge_snapshot(char *result, CommandState state) {
        RunTarget target = { .target_id = 5 };
        const RunTargetList targets = { &target, 1 };
        const Run run = { .id = 12, .kind = RUN_BACKUP, .spec = (char *) REPOSITORY_SPEC };
        const Command command = { .id = 30, .run_id = 12, .state = state, .attempt = 3, .result = result };
        Outcome o = {};

        if (outcome_judge(&run, &targets, &command, &o) < 0)
                abort();
        if (o.end.state == RUN_SUCCEEDED)
                if (o.end.n_targets != 1 || !streq_ptr(o.targets[0].key, REPOSITORY) ||
                    !snapshot_id_is_valid(o.targets[0].snapshot) || o.end.manifest_sha256)
                        abort();
        if (o.end.state == RUN_SUCCEEDED)
                check_green(result, &o);
        outcome_done(&o);
}

static void judge(char *result, CommandState state, RunKind kind) {
        RunTarget target = { .target_id = 5 };
        const RunTargetList targets = { &target, kind == RUN_BACKUP ? 1 : 0 };
        const Run run = { .id = 12, .kind = kind, .spec = (char *) SPEC };
        const Command command = { .id = 30, .run_id = 12, .state = state, .attempt = 3, .result = result };
        Outcome o = {};

        if (outcome_judge(&run, &targets, &command, &o) < 0)
                abort();
        if (!run_state_is_final(o.end.state))
                abort();
        if (kind == RUN_BACKUP && o.end.state == RUN_SUCCEEDED)
                if (o.end.n_targets != 1 || o.targets[0].state != RUN_TARGET_SUCCEEDED ||
                    !streq_ptr(o.targets[0].key, KEY) || !o.end.manifest_sha256)
                        abort();
        if (kind == RUN_BACKUP && o.end.state == RUN_SUCCEEDED)
                check_green(result, &o);
        outcome_done(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const CommandState states[] = {
                COMMAND_SUCCEEDED, COMMAND_PARTIAL, COMMAND_FAILED, COMMAND_CANCELLED, COMMAND_TIMEOUT
        };
        _cleanup_(freep) char *result = memdup0(data, size);

        if (!result)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                judge(result, states[i], RUN_BACKUP);
                judge(result, states[i], RUN_RESTORE);
                judge(result, states[i], RUN_PRUNE);
                judge_snapshot(result, states[i]);
        }
        return 0;
}
