#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The state of a task's schedules, written by the scheduler: one of its backups and one of the checks of
 * what they left. The settings are in the task. A row appears with the first schedule_put() and goes with
 * the task. */

#include "store/store.h"

typedef enum ScheduleKind {
        SCHEDULE_BACKUP,
        SCHEDULE_VERIFY,
        _SCHEDULE_KIND_MAX,
        _SCHEDULE_KIND_INVALID = -EINVAL,
} ScheduleKind;

typedef struct Schedule {
        ScheduleKind kind;
        uint64_t task_id;
        /* of the task, read only here */
        char *task_name;
        char *expression;
        char *timezone;
        bool catch_up;
        bool task_enabled;
        uint64_t task_revision;
        usec_t task_updated;
        uint32_t shares; /* of checks */
        /* the scheduler's */
        uint64_t revision; /* the task_revision that the rest was made from; 0: not looked at yet */
        usec_t next;       /* the coming elapse; 0: none */
        usec_t last;       /* the last elapse that was decided: run, missed or skipped; 0: none */
        char *error;       /* why this expression is broken; NULL: it is not */
} Schedule;

#define SCHEDULE_NULL ((Schedule){})

void schedule_done(Schedule *x);

typedef struct ScheduleList {
        Schedule *items;
        size_t n;
} ScheduleList;

#define SCHEDULE_LIST_NULL ((ScheduleList){})

void schedule_list_done(ScheduleList *l);

/* All tasks with an expression of this kind, enabled or not, by task id. */
int schedules_list(Store *s, ScheduleKind kind, uint64_t after_task_id, size_t limit, ScheduleList *ret)
                _warn_unused_;
/* STORE_E_NOT_FOUND: no such task, or it has no expression. */
int schedule_get(Store *s, ScheduleKind kind, uint64_t task_id, Schedule *ret) _warn_unused_;
/* Writes revision, next, last and error. STORE_E_NOT_FOUND when the task is gone. Together with run_add() in
 * one transaction, so that an elapse is decided once. */
int schedule_put(Store *s, const Schedule *x) _warn_unused_;
