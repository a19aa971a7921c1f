#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What is backed up, from where, to which targets, when. Written by the API; the state of its schedule is
 * the scheduler's, in schedule.h. */

#include "store/store.h"

#define TASK_TARGETS_MAX 16 /* one pass over the source feeds them all */
#define TASK_RELAYS_MAX 4   /* of them through the master; the API sees to it */

typedef struct Task {
        uint64_t id;
        char *name;
        char *type;        /* "file", "sqlite" */
        uint64_t node_id;  /* 0: the label decides */
        char *node_name;   /* read only; NULL: the label decides */
        char *node_label;  /* it runs on any one node with this label; NULL: on the node */
        char *source;      /* JSON */
        char *format;      /* "archive" */
        char *compression; /* JSON */
        char *encryption;  /* "none", "sealed" */
        char *options;     /* JSON: {"hooks":{…}}; or NULL */
        char *retention;   /* JSON: which snapshots are kept; NULL: all */
        bool enabled;
        char *schedule_expression; /* NULL: only by hand */
        char *schedule_timezone;
        bool schedule_catch_up;
        char *verify_expression; /* when its repositories are checked; NULL: only by hand */
        char *verify_timezone;
        bool verify_catch_up;
        uint32_t verify_shares;                /* each check reads one of so many; 0: no data */
        uint64_t target_ids[TASK_TARGETS_MAX]; /* in the order given */
        size_t n_targets;
        usec_t created;
        usec_t updated;
        uint64_t revision; /* grows with each change */
        bool has_secrets;  /* read only */
} Task;

#define TASK_NULL ((Task){})

void task_done(Task *t);

typedef struct TaskList {
        Task *items;
        size_t n;
} TaskList;

#define TASK_LIST_NULL ((TaskList){})

void task_list_done(TaskList *l);

enum {
        TASK_E_NODE = _STORE_E_MAX + 300, /* no such node */
        TASK_E_TARGET,                    /* no such target */
        TASK_E_RUNNING,                   /* a run of it has not ended */
};

/* STORE_E_EXISTS, TASK_E_NODE, TASK_E_TARGET. */
int task_add(Store *s, const Task *t, uint64_t *ret_id) _warn_unused_;
/* Everything but id, created and revision; updated is the time of the change. STORE_E_NOT_FOUND, and as
 * above. */
int task_update(Store *s, const Task *t) _warn_unused_;
/* What opens the server of its databases, sealed to the dispatcher; NULL: nothing. */
int task_set_secrets(Store *s, uint64_t id, const char *sealed) _warn_unused_;
/* *ret is NULL where there are none. STORE_E_NOT_FOUND. */
int task_get_secrets(Store *s, uint64_t id, char **ret) _warn_unused_;
int task_set_enabled(Store *s, uint64_t id, bool enabled, usec_t now) _warn_unused_;
/* Its runs stay, with its name. STORE_E_NOT_FOUND, TASK_E_RUNNING. */
int task_delete(Store *s, uint64_t id) _warn_unused_;

/* STORE_E_NOT_FOUND. */
int task_get(Store *s, uint64_t id, Task *ret) _warn_unused_;
int task_find(Store *s, const char *name, Task *ret) _warn_unused_;
int tasks_list(Store *s, uint64_t after_id, size_t limit, TaskList *ret) _warn_unused_;
int tasks_list_of_node(Store *s, uint64_t node_id, uint64_t after_id, size_t limit, TaskList *ret)
                _warn_unused_;

/* Numbers of a task's runs for lists and metrics. */
typedef struct TaskSummary {
        uint64_t task_id;
        char *task_name;
        char *node_name;
        uint64_t last_run_id; /* 0: none */
        int last_state;       /* a RunState */
        usec_t last_finished; /* of the last run that ended */
        usec_t last_success;  /* when the last succeeded one ended */
        uint64_t last_bytes;  /* written by the last one that ended */
        usec_t last_duration;
} TaskSummary;

typedef struct TaskSummaryList {
        TaskSummary *items;
        size_t n;
} TaskSummaryList;

#define TASK_SUMMARY_LIST_NULL ((TaskSummaryList){})

void task_summary_done(TaskSummary *t);
void task_summary_list_done(TaskSummaryList *l);
int task_summaries_list(Store *s, uint64_t after_id, size_t limit, TaskSummaryList *ret) _warn_unused_;
