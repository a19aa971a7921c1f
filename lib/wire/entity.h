#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The things of the store as JSON, as people and programs see them: one codec an entity. This is a library
 * of its own, because agents speak JSON but have no store.
 *
 * x_to_json() gives what an answer shows: a new reference, NULL when out of memory. Nothing secret is in it.
 * x_from_json() reads what a request may set, strictly, over what *x holds already: fields that are absent
 * keep their value, so that the same codec makes new things (from defaults) and changes old ones. Unknown
 * fields are refused with their name; fields that only answers have (id, created_at, …) are unknown there.
 * When it fails *x may hold a part: throw it away. Errors: -EBADMSG with the field in the failure. */

#include "store/api-key.h"
#include "store/audit.h"
#include "store/node.h"
#include "store/queue.h"
#include "store/run-log.h"
#include "store/run.h"
#include "store/schedule.h"
#include "store/stored-repository.h"
#include "store/target.h"
#include "store/task.h"
#include "store/user.h"
#include "wire/json.h"

/* --- names --- */

#define ENTITY_NAME_MAX 128
#define ENTITY_DESCRIPTION_MAX 1024

/* Names of tasks, nodes and targets become parts of object names: UTF-8 of 1 … ENTITY_NAME_MAX bytes without
 * control characters and slashes, that begin with no dot, dash or space and end with no space or dot. */
bool entity_name_is_valid(const char *name);
/* Letters, digits and . _ - @ +, the first one a letter or a digit. */
bool username_is_valid(const char *name);
/* Reads field "name"; sets the failure. */
int json_reader_name(JsonReader *reader, const char *key, char **name);

/* Keeps a part of a document as text in a column: replaces *text. */
int json_keep_text(const json_t *json, char **text) _warn_unused_;
/* The JSON of a column; null for NULL, and for what does not parse. New reference. */
json_t *json_from_text(const char *text);
/* A time, null for 0. New reference. */
json_t *json_from_stamp(usec_t t);
/* An id, null for 0. New reference. */
json_t *json_from_id(uint64_t id);

/* The code of the failure where a stored secret would go elsewhere than it was given for. */
#define SECRET_NEEDED_AGAIN "SECRET_NEEDED_AGAIN"

/* --- tasks --- */

#define TASK_PATHS_MAX 1000
#define TASK_EXCLUDES_MAX 1000
#define TASK_EXCLUDE_MAX 4096
#define TASK_LEVEL_MAX 19
#define TASK_LEVEL_DEFAULT 3
#define TASK_PASSWORD_MAX 1024

/* What a new task is before its fields are read. */
int task_init(Task *ret) _warn_unused_;
/* *ret_secrets is the object of secrets, borrowed from json; NULL when absent. A password that is stored
 * stays for the server and the node that it was given for: with others the failure is SECRET_NEEDED_AGAIN
 * where the request brings none. */
int task_from_json(const json_t *json, Task *task, const json_t **ret_secrets, Failure *reterr_failure)
                _warn_unused_;
/* The field "secrets" of a request, of a server of databases: {"password"}. 1: it is there, and *ret is
 * borrowed. What is wrong sticks to the reader. */
int database_secrets_read(JsonReader *reader, const json_t **ret);
/* schedule (may be NULL) adds next_run_at and schedule_error, verify (may be NULL) the same of checks,
 * summary (may be NULL) last_run. */
json_t *task_to_json(const Task *task, const Schedule *schedule, const Schedule *verify,
                     const TaskSummary *summary);

/* --- targets --- */

#define TARGET_SECRETS_MAX 32
#define TARGET_SECRET_MAX (16U << 10)

/* *ret_secrets is the object of secrets, borrowed from json; NULL when absent. Checks the configuration as
 * the type asks. Secrets that are stored stay for their address alone: with another one the failure is
 * SECRET_NEEDED_AGAIN where the request brings none. A change to a type that has no use for them empties
 * secret_names: they are to be forgotten. */
int target_from_json(const json_t *json, Target *target, const json_t **ret_secrets, Failure *reterr_failure)
                _warn_unused_;
json_t *target_to_json(const Target *target);

/* --- nodes --- */

#define NODE_JOBS_MAX 64U              /* what a claim can ask for */
#define NODE_BANDWIDTH_MIN (64U << 10) /* less, and a part of an upload outlives its connection */
#define NODE_BANDWIDTH_MAX (UINT64_C(1) << 40)
#define NODE_WEIGHT_MAX 10000U /* as systemd has it */

int node_from_json(const json_t *json, Node *node, Failure *reterr_failure) _warn_unused_;
json_t *node_to_json(const Node *node);
/* Absent limits are null. Agents are told the same object with their heartbeats. */
json_t *node_limits_to_json(const NodeLimits *limits);
json_t *node_queue_to_json(const NodeQueue *queue, usec_t now);

/* --- the queue --- */

/* An open command and what is known about it; a queued run without one is a command with the id 0. */
typedef struct QueueItem {
        const Command *command;
        const char *task_name;
        const char *node_name;
        usec_t silence; /* since its last sign of life, while somebody listened */
        const char *waits_for;
} QueueItem;

json_t *queue_item_to_json(const QueueItem *item, usec_t now);

/* --- runs --- */

/* targets may be NULL (lists), and so may progress, the JSON of a command that has not ended: its figures
 * stand for those of the run then. */
json_t *run_to_json(const Run *run, const RunTargetList *targets, const char *progress);
json_t *run_log_line_to_json(const RunLogLine *line);
json_t *snapshot_to_json(const StoredSnapshot *s);

typedef struct RestoreRequest {
        uint64_t node_id; /* 0: the master's own; not used in place */
        bool in_place;
        json_t *body; /* {"destination":…,"paths":…,"conflict":…}, as a restore command's spec has them */
} RestoreRequest;

#define RESTORE_REQUEST_NULL ((RestoreRequest){})
#define RESTORE_PATHS_MAX 10000

void restore_request_done(RestoreRequest *r);
int restore_request_from_json(const json_t *json, RestoreRequest *ret,
                              Failure *reterr_failure) _warn_unused_;

/* --- people --- */

/* As json_reader_strdup() of the field "password", of one that is to be set: within its rules. */
int json_reader_password(JsonReader *r, JsonPresence presence, size_t max, char **ret);
/* *ret_password is a copy, for erase_and_freep(); NULL when absent. */
int user_from_json(const json_t *json, User *user, char **ret_password,
                   Failure *reterr_failure) _warn_unused_;
json_t *user_to_json(const User *user);
int api_key_from_json(const json_t *json, ApiKey *key, Failure *reterr_failure) _warn_unused_;
json_t *api_key_to_json(const ApiKey *key);
json_t *audit_entry_to_json(const AuditEntry *entry);
