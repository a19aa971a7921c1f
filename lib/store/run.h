#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One execution of something, from the decision to its end.
 *
 *         queued -> dispatched -> running -> succeeded | partial | failed | cancelled
 *         queued -> missed, any that has not ended -> interrupted
 *         running -> queued (a part is done, another one is to come)
 *
 * The scheduler makes runs (run_add). The dispatcher moves them; each move names the states it starts from.
 * The API only reads (and cancels through the dispatcher). */

#include "store/store.h"

typedef enum RunKind {
        RUN_BACKUP,
        RUN_RESTORE,
        RUN_VERIFY,
        RUN_PRUNE,
        _RUN_KIND_MAX,
        _RUN_KIND_INVALID = -EINVAL,
} RunKind;

typedef enum RunState {
        RUN_QUEUED,
        RUN_DISPATCHED,
        RUN_RUNNING,
        RUN_SUCCEEDED,
        RUN_PARTIAL,
        RUN_FAILED,
        RUN_CANCELLED,
        RUN_MISSED,
        RUN_INTERRUPTED,
        _RUN_STATE_MAX,
        _RUN_STATE_INVALID = -EINVAL,
} RunState;

typedef enum RunTargetState {
        RUN_TARGET_PENDING,
        RUN_TARGET_SUCCEEDED,
        RUN_TARGET_FAILED,
        RUN_TARGET_REMOVED, /* its snapshot is not in the repository any more */
        _RUN_TARGET_STATE_MAX,
        _RUN_TARGET_STATE_INVALID = -EINVAL,
} RunTargetState;

DECLARE_STRING_TABLE(run_kind, RunKind);
DECLARE_STRING_TABLE(run_state, RunState);
DECLARE_STRING_TABLE(run_target_state, RunTargetState);

static inline bool run_state_is_final(RunState state) {
        return state >= RUN_SUCCEEDED;
}

#define RUN_STATE_BIT(state) (1U << (state))
#define RUN_STATES_OPEN \
        (RUN_STATE_BIT(RUN_QUEUED) | RUN_STATE_BIT(RUN_DISPATCHED) | RUN_STATE_BIT(RUN_RUNNING))

enum {
        RUN_E_EXISTS = _STORE_E_MAX + 400, /* this task has a run for this elapse already */
        RUN_E_OVERLAP,                     /* a run of this task has not ended */
        RUN_E_TASK,                        /* no such task */
        RUN_E_SOURCE,                      /* no such source run */
};

typedef struct RunTarget {
        uint64_t target_id;
        char *target_name;
        RunTargetState state;
        char *key; /* where the archive, or the repository, lies: ends in / */
        uint64_t size;
        char *sha256;   /* of the manifest there, hex */
        char *snapshot; /* of a repository: its name there, 64 digits; NULL: an archive, or nothing */
        char *error_code;
        char *error;
} RunTarget;

void run_target_done(RunTarget *t);

typedef struct RunTargetList {
        RunTarget *items;
        size_t n;
} RunTargetList;

#define RUN_TARGET_LIST_NULL ((RunTargetList){})

void run_target_list_done(RunTargetList *l);

typedef struct Run {
        uint64_t id;
        RunKind kind;
        RunState state;
        uint64_t task_id; /* 0: none, or deleted */
        char *task_name;
        uint64_t node_id; /* 0: not chosen yet */
        char *node_name;
        char *node_label; /* the node is any one with this label; NULL: it was named */
        char *waiting;    /* why it is queued still, for people; NULL: nothing to say */
        char *origin;     /* "schedule", "catch_up", "manual", "retention" */
        uint64_t user_id; /* who asked; 0: the scheduler */
        char *username;
        usec_t scheduled_for; /* the elapse; 0: by hand */
        usec_t deadline;      /* a run that still waits then is missed; 0: none */
        uint64_t source_run;  /* of all but backups: the backup it is about */
        char *request;        /* JSON: of a restore: destination, paths, conflict */
        char *spec;           /* JSON: of a backup, the task as it was when the run was dispatched */

        usec_t queued;
        usec_t dispatched;
        usec_t started;
        usec_t finished;
        bool cancel; /* asked for */

        uint64_t command_id; /* the newest; 0: none yet */
        uint32_t attempt;    /* of that command, as delivered last (read from the command) */

        char *error_code;
        char *error;
        uint64_t bytes_read;
        uint64_t bytes_written;
        uint64_t files;
        uint64_t skipped;
        uint64_t errors_total;
        char *errors;  /* JSON */
        char *objects; /* JSON, with the age headers */
        char *manifest_sha256;
        bool encrypted;
        usec_t first_read; /* wall clock of the job's first byte */

        uint64_t archives; /* targets that hold what it backed up */
        char *format;      /* "archive", "repository"; NULL: it has not ended, or left nothing */
        /* Of a backup into a repository: files against the snapshot before; bytes that no snapshot had, and
         * of all files. */
        uint64_t files_new, files_changed, files_unchanged;
        uint64_t bytes_new, bytes_total;
} Run;

#define RUN_NULL ((Run){})

void run_done(Run *r);

typedef struct RunList {
        Run *items;
        size_t n;
} RunList;

#define RUN_LIST_NULL ((RunList){})

void run_list_done(RunList *l);

/* --- the scheduler --- */

typedef struct RunNew {
        RunKind kind;
        RunState state; /* RUN_QUEUED, or RUN_MISSED to record one that was not started */
        uint64_t task_id;
        uint64_t node_id; /* 0: the task's; for a restore the destination's */
        const char *origin;
        uint64_t user_id;
        const char *username;
        usec_t scheduled_for;
        usec_t deadline;
        uint64_t source_run;
        const char *request;
        const char *error_code; /* of a missed one: why */
        const char *error;
} RunNew;

/* A queued backup of a task that has an open one is RUN_E_OVERLAP; a second run for the same (task,
 * scheduled_for, kind) is RUN_E_EXISTS; both conditions are in the one statement that inserts. A backup's
 * targets are copied from the task. What names a source run takes task and name from it. RUN_E_TASK,
 * RUN_E_SOURCE; STORE_E_NOT_FOUND: no such node. */
int run_add(Store *s, const RunNew *n, usec_t now, uint64_t *ret_id) _warn_unused_;

/* Backups that succeeded and after which their task's retention was not applied yet. Oldest first; short, as
 * runs_list(). */
int runs_list_retain(Store *s, size_t limit, RunList *ret) _warn_unused_;
/* It is, or will be by a run that was queued. */
int run_set_retained(Store *s, uint64_t id) _warn_unused_;
/* 1: a prune for this task on this node is queued, and nobody has begun with any part of it. 0: none. */
int run_prune_waits(Store *s, uint64_t node_id, uint64_t task_id) _warn_unused_;

/* 1: a run of this kind about this task has not ended. 0: none. */
int run_is_open(Store *s, uint64_t task_id, RunKind kind) _warn_unused_;
/* The newest backup of a task that has a snapshot in a repository still. STORE_E_NOT_FOUND. */
int run_newest_stored(Store *s, uint64_t task_id, uint64_t *ret) _warn_unused_;
/* What the newest check of this task that the clock started, and that was carried out, was asked for.
 * STORE_E_NOT_FOUND. */
int run_last_check(Store *s, uint64_t task_id, char **ret_request) _warn_unused_;

/* --- reading --- */

/* STORE_E_NOT_FOUND. */
int run_get(Store *s, uint64_t id, Run *ret) _warn_unused_;
int run_targets_get(Store *s, uint64_t run_id, RunTargetList *ret) _warn_unused_;

typedef struct RunFilter {
        unsigned states;  /* RUN_STATE_BIT()s; 0: all */
        int kind;         /* a RunKind, or -1: all */
        uint64_t task_id; /* 0: all */
        uint64_t node_id; /* 0: all */
} RunFilter;

#define RUN_FILTER_ALL ((RunFilter){ .kind = -1 })

/* Newest first; before_id 0 starts at the newest. filter may be NULL. Without request, spec, errors and
 * objects: a page of those would be as large as a thousand runs can make them. */
int runs_list(Store *s, const RunFilter *filter, uint64_t before_id, size_t limit, RunList *ret)
                _warn_unused_;

/* --- the dispatcher --- */

/* A run that the dispatcher has something to do about: it is open, and has no command yet, or its command is
 * ahead of it, or its cancellation waits. Oldest first, by id. This list is the whole recovery at start. */
typedef struct RunWork {
        Run run;
        int command_state; /* a CommandState; -1: no command */
} RunWork;

typedef struct RunWorkList {
        RunWork *items;
        size_t n;
} RunWorkList;

#define RUN_WORK_LIST_NULL ((RunWorkList){})

void run_work_list_done(RunWorkList *l);
int runs_list_work(Store *s, uint64_t after_id, size_t limit, RunWorkList *ret) _warn_unused_;

/* Names the run's command; spec (or NULL) is kept in the run. In one transaction with queue_add().
 * STORE_E_STATE: not queued, or it has a command already. */
int run_set_command(Store *s, uint64_t id, uint64_t command_id, const char *spec) _warn_unused_;
/* The node that was chosen for a queued run that names a label. In one transaction with queue_add().
 * STORE_E_STATE. */
int run_set_node(Store *s, uint64_t id, uint64_t node_id, const char *node_name) _warn_unused_;
/* Why an open run waits, NULL: it does not. STORE_E_STATE: nothing changed. */
int run_set_waiting(Store *s, uint64_t id, const char *why) _warn_unused_;
/* Back to queued, without a command, and without a node where a label chose it: for a run whose command was
 * given up before any agent accepted it, or that is tried again. From dispatched or running, or queued with
 * a command. STORE_E_STATE. */
int run_requeue(Store *s, uint64_t id) _warn_unused_;
/* A part of an open run is done: back to queued without a command, for the next one. When it began stays.
 * STORE_E_STATE. */
int run_go_on(Store *s, uint64_t id) _warn_unused_;
/* dispatched or running -> queued, with its command: that is pending again. STORE_E_STATE. */
int run_set_queued(Store *s, uint64_t id) _warn_unused_;
/* queued -> dispatched. STORE_E_STATE. */
int run_set_dispatched(Store *s, uint64_t id, usec_t at) _warn_unused_;
/* queued or dispatched -> running. STORE_E_STATE. */
int run_set_running(Store *s, uint64_t id, usec_t at) _warn_unused_;
/* Asks for the end of an open run. STORE_E_STATE: it had ended; asking twice is 0. */
int run_set_cancel(Store *s, uint64_t id) _warn_unused_;

/* 1: a queued run has to wait, as somebody works in the repositories of its node who would be in the way:
 * one who removes things and one who reads or writes keep each other out. 0: it may begin. node_id: where it
 * is to run. */
int run_is_kept_out(Store *s, const Run *run, uint64_t node_id) _warn_unused_;

typedef struct RunEnd {
        RunState state; /* a final one */
        const char *error_code;
        const char *error;
        uint64_t bytes_read;
        uint64_t bytes_written;
        uint64_t files;
        uint64_t skipped;
        uint64_t errors_total;
        const char *errors;
        const char *objects;
        const char *manifest_sha256;
        usec_t first_read;
        const char *format; /* NULL: nothing was backed up */
        uint64_t files_new, files_changed, files_unchanged;
        uint64_t bytes_new, bytes_total;
        const RunTarget *targets; /* those named are written; pending ones not named become failed */
        size_t n_targets;
} RunEnd;

/* Any open state -> a final one, with the targets, in one transaction. STORE_E_STATE: it had ended. */
int run_finish(Store *s, uint64_t id, const RunEnd *end, usec_t now) _warn_unused_;

/* Runs of each state, for metrics: ret[state]. */
int runs_count(Store *s, uint64_t ret[static _RUN_STATE_MAX]) _warn_unused_;

/* How many runs ever ended so; rows that were cleaned up count on. */
typedef struct RunTotal {
        RunKind kind;
        char *type; /* of the task; "": it was deleted before */
        RunState state;
        uint64_t value;
} RunTotal;

typedef struct RunTotalList {
        RunTotal *items;
        size_t n;
} RunTotalList;

#define RUN_TOTAL_LIST_NULL ((RunTotalList){})

void run_total_list_done(RunTotalList *l);
int run_totals_list(Store *s, RunTotalList *ret) _warn_unused_;
/* When the run of a command was queued. STORE_E_NOT_FOUND: no such command, or it has no run. */
int run_queued_of_command(Store *s, uint64_t command_id, usec_t *ret) _warn_unused_;
