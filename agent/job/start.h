#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a job is told: the "start" message, taken apart. */

#include "agent/common/results.h"
#include "wire/command.h"

typedef struct JobContext {
        char *master_url;
        char *ca_cert;
        char *pin;
        char *proxy_url;
        bool insecure_tls;
        uint64_t node_id;
        char *node_name;
        char *results_dir;
        uint64_t bandwidth;             /* bytes a second of uploads; 0: no limit */
        uint32_t cpu_weight, io_weight; /* 0: as the unit says */
} JobContext;

typedef struct JobStart {
        WorkName name;
        CommandKind kind;
        usec_t deadline; /* 0: none */
        json_t *spec;
        CommandSecrets secrets;
        json_t *checks; /* of a self_check: what the agent found; NULL: none */
        JobContext context;
} JobStart;

#define JOB_START_NULL ((JobStart){})

/* Wipes the secrets. */
void job_start_done(JobStart *s);
int job_start_parse(const json_t *message, JobStart *ret, Failure *reterr_failure) _warn_unused_;
/* The "run" of the spec, 0 where there is none: for the journal. */
uint64_t job_start_run(const JobStart *s);
