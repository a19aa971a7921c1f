#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Shared by agent.c, agent-limits.c and agent-token.c; everybody else sees agent.h. */

#include "agent/daemon/agent.h"
#include "agent/daemon/heartbeat.h"
#include "agent/daemon/limits.h"
#include "agent/daemon/local-check.h"
#include "agent/daemon/self-enroll.h"
#include "sys/daemon.h"

/* Between two looks for a token, until somebody enrols this host. */
#define AGENT_TOKEN_INTERVAL (2 * USEC_PER_SEC)

struct Agent {
        sd_event *event;
        const AgentOptions *options;
        Master *master;
        Claim *claim;
        Heartbeat *heartbeat;
        AgentBus *bus;
        LocalCheck *local_check;
        Work *works;
        int state_fd;
        int results_fd;
        AgeIdentity identity;
        char public_key[AGE_RECIPIENT_TEXT_SIZE];
        char id[AGENT_ID_TEXT_MAX];
        char boot_id[BOOT_ID_TEXT_MAX];
        char *given; /* the credential; NULL: none */
        AgentLimits limits;
        uint64_t node_id;
        char *node_name;
        char *status; /* as it was told last */
        MasterCall *self_call;
        SelfEnroll *self_enroll;
        sd_event_source *token_timer;
        sd_event_source *stop_timer;
        int64_t clock_skew; /* of CLOCK_REALTIME against the master's */
        bool has_clock_skew;
        bool duplicated;
        bool stopping;
};

/* --- agent.c --- */

/* Talks to the master from now on. */
void agent_begin(Agent *a);
/* Writes the status line where it is a new one. */
void agent_tell_status(Agent *a);

/* --- agent-limits.c --- */

/* Tells all jobs what they may use now that one more, or one less, works. */
void agent_spread_limits(Agent *a);

/* --- agent-token.c --- */

/* Looks for a token: 1: the master is asked with it from now on; 0: there is none yet. Logs errors. */
int agent_token_try(Agent *a) _warn_unused_;
int agent_on_token_timer(sd_event_source *source, uint64_t usec, void *userdata);
void agent_on_self_enrolled(SelfEnrollResult result, void *userdata);
