#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the agent is told at start. The environment (BACKUPX_AGENT_…) is the weakest, the configuration file
 * wins over it, flags win over both. Unknown keys and bad values are errors with file and line. */

#include "base/failure.h"
#include "base/times.h"

#define AGENT_CONFIG_DEFAULT "/etc/backupx-agent/config.yaml"
#define AGENT_STATE_DIR_DEFAULT "/var/lib/backupx-agent"
#define AGENT_RUNTIME_DIR_DEFAULT "/run/backupx-agent"
#define AGENT_TEMP_DIR_DEFAULT "/tmp/backupx-agent"
#define AGENT_CAPACITY_DEFAULT 2U
/* Probes answer people who wait; they have their own places, so that they do while backups run. */
#define AGENT_PROBE_CAPACITY_DEFAULT 4U

typedef enum AgentVerb {
        AGENT_RUN,
        AGENT_ENROLL,
        AGENT_WAIT_ONLINE,
        AGENT_CHECK,        /* asks the running agent of this host; takes the instance alone */
        AGENT_APPLY_LIMITS, /* as root: gives the jobs' slice the weights that the agent was told */
        AGENT_HELP,
        AGENT_VERSION,
} AgentVerb;

typedef struct AgentOptions {
        AgentVerb verb;
        char *config; /* NULL: AGENT_CONFIG_DEFAULT, which may be missing */
        char *master;
        char *token;
        char *token_file;
        char *temp_dir;
        char *proxy_url;
        char *ca_cert;
        char *pin;
        bool insecure_tls;
        char *state_dir;
        char *results_dir;
        char *runtime_dir;
        char *job;  /* the program */
        char *hook; /* the program that runs hooks, where there is no unit for it */
        char *policy;
        char *tools_path; /* where programs for backups are looked for */
        char *instance;   /* NULL: the agent of backupx-agent.service, or of no unit */
        uint32_t capacity;
        uint32_t probe_capacity;
        int log_level;  /* negative: not given */
        usec_t timeout; /* of wait-online */
} AgentOptions;

#define AGENT_OPTIONS_NULL ((AgentOptions){ .log_level = -1 })

void agent_options_done(AgentOptions *o);

/* Reads flags, environment and file, fills in the defaults, and brings master URL and pin into their normal
 * forms. -EINVAL with a failure for people. */
int agent_options_load(int argc, char *argv[], AgentOptions *ret, Failure *reterr_failure) _warn_unused_;

/* The text of --help. */
extern const char agent_help[];
