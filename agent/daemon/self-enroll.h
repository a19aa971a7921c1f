#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* An agent that was given the one-time token of an install link, and nothing else: it enrols itself with its
 * first contact, as a container does whose only settings are variables. */

#include "agent/daemon/master.h"

typedef struct SelfEnroll SelfEnroll;

typedef enum SelfEnrollResult {
        SELF_ENROLL_DONE,    /* the node's own token is in the state folder */
        SELF_ENROLL_REFUSED, /* this token opens nothing */
        SELF_ENROLL_LATER,   /* there was no answer */
} SelfEnrollResult;

typedef void (*SelfEnrollDone)(SelfEnrollResult result, void *userdata);

/* master and state_fd are the caller's. */
int self_enroll_new(Master *master, int state_fd, SelfEnrollDone done, void *userdata,
                    SelfEnroll **ret) _warn_unused_;
SelfEnroll *self_enroll_free(SelfEnroll *e);

/* Whether token is one to enrol with. */
bool self_enroll_takes(const char *token);
/* Asks the master, unless an answer is awaited. To be called again and again: what failed is asked for anew
 * after a pause with jitter, which grows, and what was refused after a minute and that. */
void self_enroll_try(SelfEnroll *e, const char *token);
/* Why not yet; NULL: nothing was heard. */
const char *self_enroll_trouble(const SelfEnroll *e);

DEFINE_CLEANUP(SelfEnroll *, self_enroll_free);
