#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The two verbs of the installer. Each runs a loop of its own and ends it with an exit status. */

#include <systemd/sd-event.h>

#include "agent/daemon/options.h"
#include "agent/daemon/reply.h"

/* Exchanges the one-time token of an install link for the node's own token, and keeps that with the
 * identity. An answer that is lost is asked for again: the same token and key give a fresh one. */
int enroll(sd_event *event, const AgentOptions *options) _warn_unused_;

/* Asks the master who we are until it says that this node is online, or options->timeout is over. */
int wait_online(sd_event *event, const AgentOptions *options) _warn_unused_;

/* What both ways to enrol have in common: the body that asks with token, and the answer's token kept in the
 * state folder as the one that replaces the token given. Logs what is wrong with an answer. */
int enroll_build_body(int state_fd, const char *token, json_t **ret, Failure *reterr_failure) _warn_unused_;
int enroll_keep_token(int state_fd, const Reply *reply, const char *given) _warn_unused_;
