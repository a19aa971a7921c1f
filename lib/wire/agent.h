#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The bodies that an agent sends, version 1 of the protocol. The master treats them as hostile: each has its
 * limits; unknown fields are ignored, missing or mistyped ones are refused by name. */

#include "wire/feature.h"
#include "wire/job.h"
#include "wire/result.h"

/* Limits of bodies, in bytes. */
#define AGENT_ENROLL_MAX (8U << 10)
#define AGENT_HEARTBEAT_MAX (64U << 10) /* the longest list of running commands, tools and addresses */
#define AGENT_CLAIM_MAX (32U << 10)
#define AGENT_ACCEPT_MAX (1U << 10)
#define AGENT_PROGRESS_MAX (512U << 10) /* one batch of log lines */
#define AGENT_RESULT_MAX (4U << 20)     /* a page of a listing */

#define AGENT_CAPACITY_MAX 64 /* commands at a time on one node */
/* Weights of processor and disk, as systemd has them. */
#define AGENT_WEIGHT_MAX 10000U
#define AGENT_HOLDING_MAX 256 /* commands that an agent may name */
#define AGENT_ADDRESSES_MAX 32
#define AGENT_TOOLS_MAX 32
#define AGENT_TEXT_MAX 255 /* hostname, version, … */
#define AGENT_ID_MAX 64
#define AGENT_LOG_LINES_MAX 500 /* of one batch */
#define AGENT_LOG_LINE_MAX 4096 /* bytes; longer ones are cut by the agent, refused by the master */
#define AGENT_WAIT_MAX_SEC 55   /* of a claim: under the idle limits of common proxies, 60 s */
#define AGENT_HEARTBEAT_INTERVAL_SEC 15
#define AGENT_OFFLINE_SEC 45

typedef struct EnrollBody {
        char *token;
        char *public_key;
        char *hostname;
        char *os;
        char *arch;
        char *version;
} EnrollBody;

void enroll_body_done(EnrollBody *b);
int enroll_body_parse(const json_t *json, EnrollBody *ret, Failure *reterr_failure) _warn_unused_;

typedef struct HeldCommand {
        uint64_t command;
        uint64_t attempt;
} HeldCommand;

typedef struct HeartbeatBody {
        char *boot_id;
        char *agent_id;
        char *version;
        char *os;
        char *arch;
        char *hostname;
        char **addresses;
        char *public_key;  /* NULL: none yet */
        uint32_t capacity; /* in all */
        uint32_t probes;   /* in all */
        HeldCommand *running;
        size_t n_running;
        uint64_t free_bytes; /* of the agent's temporary directory */
        usec_t clock;
        json_t *tools; /* object: name → version */
        json_t *check; /* the report of a check that was asked for on the host, in its normal form; NULL */
} HeartbeatBody;

void heartbeat_body_done(HeartbeatBody *b);
int heartbeat_body_parse(const json_t *json, HeartbeatBody *ret, Failure *reterr_failure) _warn_unused_;

typedef struct ClaimBody {
        char *agent_id;
        uint32_t capacity; /* how many more backups, restores, verifications and prunings it takes now */
        uint32_t probes;   /* how many more of the other kinds: browsing works while backups run */
        HeldCommand *holding;
        size_t n_holding;
        HeldCommand *unstarted; /* accepted, and provably not begun: to be delivered again */
        size_t n_unstarted;
        char **features; /* names of what it knows */
} ClaimBody;

void claim_body_done(ClaimBody *b);
int claim_body_parse(const json_t *json, ClaimBody *ret, Failure *reterr_failure) _warn_unused_;

int accept_body_parse(const json_t *json, uint64_t *ret_attempt, Failure *reterr_failure) _warn_unused_;

typedef struct AgentLogLine {
        uint64_t sequence; /* of the attempt, from 1, rising: a repeat is not stored twice */
        usec_t time;
        int level;        /* LOG_ERR … LOG_DEBUG */
        const char *text; /* borrowed */
        size_t text_size;
} AgentLogLine;

typedef struct ProgressBody {
        uint64_t attempt;
        bool has_progress; /* a batch of log lines alone has none */
        JobProgress progress;
        AgentLogLine *lines;
        size_t n_lines;
        json_t *json; /* keeps the lines' texts */
} ProgressBody;

void progress_body_done(ProgressBody *b);
int progress_body_parse(json_t *json, ProgressBody *ret, Failure *reterr_failure) _warn_unused_;

typedef struct ResultBody {
        uint64_t attempt;
        ResultStatus status;
        char *error_code;    /* NULL: none */
        char *error_message; /* NULL: none */
        json_t *result;      /* an object; NULL: none */
        AgentLogLine *lines; /* the last ones, not yet stored */
        size_t n_lines;
        json_t *json; /* keeps the lines' texts */
} ResultBody;

void result_body_done(ResultBody *b);
int result_body_parse(json_t *json, ResultBody *ret, Failure *reterr_failure) _warn_unused_;

/* A command as the claim answers it. spec is JSON text as the queue holds it. */
int command_body_build(const HeldCommand *id, CommandKind kind, usec_t deadline, const char *spec,
                       const char *secrets, json_t **ret) _warn_unused_;
