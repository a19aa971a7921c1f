/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/job/targets.h"
#include "base/text.h"
#include "wire/rclone-options.h"

/* A mount that does not answer for this long is given up: the other targets go on. As long as an archive
 * waits for a target that takes nothing. */
#define TARGET_STALL (5 * USEC_PER_MINUTE)

static int check_place(const JobRun *run, const SpecTarget *target, Failure *reterr_failure) {
        const char *path;

        path = streq_ptr(target->type, "local") ?
                        json_string_value(json_object_get(target->config, "path")) :
                        rclone_directory(target->type, target->config);
        if (!path)
                return 0; /* storage_open() says what is wrong */
        return policy_check_storage(run->policy, run->storage_dir, path, reterr_failure);
}

int job_target_open_within(const JobRun *run, const SpecTarget *target, const JobTargetLimits *limits,
                           Storage **ret, Failure *reterr_failure) {
        const JobContext *context;
        StorageConfig config;
        int r;

        assert(run);
        assert(target);
        assert(limits);
        assert(ret);

        r = check_place(run, target, reterr_failure);
        if (r < 0)
                return r;
        context = &run->start->context;
        config = (StorageConfig){
                .id = target->id,
                .name = target->name,
                .type = target->type,
                .config = target->config,
                .secrets = command_secrets_target(&run->start->secrets, target->id),
                .context = {
                                .master_url = context->master_url,
                                .ca_cert = context->ca_cert,
                                .pin = context->pin,
                                .proxy_url = context->proxy_url,
                                .insecure_tls = context->insecure_tls,
                                .attempt = run->start->name.attempt,
                },
                .pace = run->pace,
                .stall = limits->stall,
                .retry = limits->retry,
                .patience = limits->patience,
                .cancel = limits->cancel,
        };
        return storage_open(&config, ret, reterr_failure);
}

int job_target_open(const JobRun *run, const SpecTarget *target, Storage **ret, Failure *reterr_failure) {
        const JobTargetLimits limits = { .cancel = job_link_cancelled(run->link), .patience = TARGET_STALL };

        return job_target_open_within(run, target, &limits, ret, reterr_failure);
}
