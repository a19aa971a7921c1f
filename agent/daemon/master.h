#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The master as the agent sees it: asks with the node's token, and knows whether there is contact. */

#include <systemd/sd-event.h>

#include "agent/daemon/options.h"
#include "agent/daemon/reply.h"

typedef struct Master Master;
typedef struct MasterCall MasterCall;

/* The call is gone when this runs. */
typedef void (*MasterDone)(const Reply *reply, void *userdata);

typedef void (*MasterChanged)(Master *m, void *userdata);

typedef struct MasterRequest {
        const char *path;   /* below /api/v1/agent/ */
        const json_t *body; /* NULL: a GET */
        usec_t timeout;     /* 0: MASTER_TIMEOUT */
        size_t reply_max;   /* 0: MASTER_REPLY_MAX */
        bool anonymous;     /* without the token: enrolment */
        bool is_poll;       /* the master lets it wait: it does not count as talk */
        MasterDone done;
        void *userdata;
} MasterRequest;

#define MASTER_TIMEOUT (60 * USEC_PER_SEC)
#define MASTER_REPLY_MAX (64U << 10)
/* A claim answers with several commands, each with a spec of up to 1 MiB. */
#define MASTER_CLAIM_REPLY_MAX (8U << 20)

int master_new(sd_event *event, const AgentOptions *options, Master **ret) _warn_unused_;
Master *master_free(Master *m);

/* Copies. */
int master_set_token(Master *m, const char *token) _warn_unused_;
const char *master_token(const Master *m);
const char *master_url(const Master *m);

int master_ask(Master *m, const MasterRequest *request, MasterCall **ret) _warn_unused_;
/* Ends a call that is under way; done is not called. */
MasterCall *master_call_free(MasterCall *c);

/* Whether anything but long polls is under way. */
bool master_is_talking(const Master *m);
/* Calls quiet when the last of it was answered. */
void master_on_quiet(Master *m, MasterChanged quiet, void *userdata);
/* Whether the last answer was one, and since when; what is wrong otherwise. */
bool master_is_connected(const Master *m);
usec_t master_last_contact(const Master *m); /* wall clock; 0: never */
const char *master_trouble(const Master *m);
/* Calls changed when contact is made or lost, or the reason changes. */
void master_on_change(Master *m, MasterChanged changed, void *userdata);

DEFINE_CLEANUP(Master *, master_free);
