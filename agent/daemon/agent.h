#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The agent of one master on one host: it holds the line to the master, and runs nothing itself. All its
 * work is asked for, started, watched and reported by the objects it owns:
 *
 *         Claim        the long poll
 *         Heartbeat    every 15 s
 *         Work         one command each, from its delivery until its result is acknowledged */

#include <systemd/sd-event.h>

#include "agent/common/results.h"
#include "agent/daemon/limits.h"
#include "agent/daemon/master.h"
#include "agent/daemon/state-dir.h"
#include "agent/daemon/work-state.h"

typedef struct Agent Agent;
typedef struct AgentBus AgentBus;
typedef struct Claim Claim;
typedef struct Heartbeat Heartbeat;
typedef struct LocalCheck LocalCheck;
typedef struct Work Work;

/* How long a stop waits for jobs that die with us: those that no service manager started. */
#define AGENT_STOP_PATIENCE (8 * USEC_PER_SEC)

int agent_new(sd_event *event, const AgentOptions *options, Agent **ret,
              Failure *reterr_failure) _warn_unused_;
/* Takes up what an agent before left: descriptors that the service manager kept, notes, results. Then begins
 * to talk to the master. */
int agent_start(Agent *a) _warn_unused_;
/* Ends the loop with this status as soon as the jobs that are our children are cared for. */
void agent_stop(Agent *a);
Agent *agent_free(Agent *a);

/* --- What its parts see of it ------------------------------------------------------------------------- */

sd_event *agent_event(const Agent *a);
const AgentOptions *agent_options(const Agent *a);
Master *agent_master(const Agent *a);
const AgeIdentity *agent_identity(const Agent *a);
const char *agent_public_key(const Agent *a);
const char *agent_id(const Agent *a);
const char *agent_boot_id(const Agent *a);
int agent_results_fd(const Agent *a);
uint64_t agent_node_id(const Agent *a); /* 0: not known yet */
const char *agent_node_name(const Agent *a);
bool agent_is_stopping(const Agent *a);
bool agent_is_duplicated(const Agent *a);
/* How far this host's clock is ahead of the master's, by the last heartbeat; false: not known. It is told
 * to people, and nothing depends on it. */
bool agent_clock_skew(const Agent *a, int64_t *ret_usec);
LocalCheck *agent_local_check(const Agent *a);

/* The list of work, newest first; for work.c alone to change. */
Work **agent_works(Agent *a);

typedef struct AgentPlaces {
        unsigned heavy; /* free places for backups, restores, … */
        unsigned probes;
} AgentPlaces;

AgentPlaces agent_free_places(const Agent *a);
/* Whether there is work that is to be reported as lost after the next answer to a claim. */
bool agent_has_lost_work(const Agent *a);
/* [{"command","attempt"},…]: of claims (what is held) or of heartbeats (what runs). */
json_t *agent_list_work(const Agent *a, WorkStateFilter which);
/* Likewise: what an agent before us accepted, and never began. The master delivers it again; one that does
 * not know how gets it reported as lost. */
json_t *agent_list_unstarted(const Agent *a);

/* When the next heartbeat is due, monotonic, and USEC_INFINITY before the first; and whether a long poll
 * waits, which is to end before that. */
usec_t agent_beat_due(const Agent *a);
bool agent_is_polling(const Agent *a);

/* What the master allows; and what of it one of the jobs that run now may send. */
const AgentLimits *agent_limits(const Agent *a);
uint64_t agent_bandwidth_share(const Agent *a);

/* --- What its parts tell it ---------------------------------------------------------------------------- */

/* One element of a claim's answer. */
void agent_take_command(Agent *a, const json_t *command);
/* A claim was answered, and its connection is free for a heartbeat that is due about now. */
void agent_beat_if_due(Agent *a);
/* A claim was answered: the master delivers again what it does not see held. */
void agent_claim_answered(Agent *a);
/* Commands, by id, that an answer says are to be ended; those that are not here are none of ours. */
void agent_take_cancels(Agent *a, const json_t *ids);
/* The master's clock, as it answered a heartbeat that took from sent to now (wall clock of this host). */
void agent_take_clock(Agent *a, usec_t sent, usec_t master);
/* The report of a check, for the master; taken over. */
void agent_tell_check(Agent *a, json_t *report);
/* The hand-over of a new token, sealed to our key. */
void agent_take_token(Agent *a, const char *sealed);
/* The first contact, and each one after an interruption. */
void agent_greeted(Agent *a);
/* Another agent answers for this node. */
void agent_duplicated(Agent *a, bool duplicated);
/* The master does not know our token: another one may have been put in its place. */
void agent_token_refused(Agent *a);
/* A heartbeat would have something new to tell. */
void agent_facts_changed(Agent *a);
/* "limits" of a heartbeat's answer; NULL and nonsense change nothing. */
void agent_take_limits(Agent *a, const json_t *json);
/* The node was disabled: what runs is not wanted any more. */
void agent_disabled(Agent *a);
/* Something ended, or changed what the status line tells. */
void agent_work_changed(Agent *a);
void agent_work_ended(Agent *a, WorkName name);

DEFINE_CLEANUP(Agent *, agent_free);
