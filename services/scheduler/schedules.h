#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The schedules in memory: what the store holds, with the expressions parsed. */

#include "store/schedule.h"
#include "wire/calendar.h"

typedef struct Entry {
        Schedule row;         /* as in the store */
        Timetable *timetable; /* NULL: the expression is broken */
        bool told;            /* the log has said so */
} Entry;

/* Whether the clock starts runs of it. */
static inline bool entry_is_active(const Entry *e) {
        return e->row.task_enabled && e->timetable && e->row.next > 0;
}

typedef struct Schedules {
        ScheduleKind kind;
        Entry *items; /* by task id */
        size_t n;
} Schedules;

#define SCHEDULES_NULL ((Schedules){})

void schedules_done(Schedules *s);

/* Reads all rows. Entries whose task did not change keep what was parsed, unless parse_all (a zone may have
 * got other rules). New and changed ones are parsed, and the outcome is written down: the next elapse after
 * the change, or the error. A row that cannot be parsed disables its task, is told once in the log, and
 * keeps nothing else from working. */
int schedules_refresh(Schedules *s, Store *store, usec_t now, bool parse_all) _warn_unused_;

/* After the clock was set: no elapse is farther away than the clock says. */
int schedules_step(Schedules *s, usec_t now) _warn_unused_;

Entry *schedules_find(Schedules *s, uint64_t task_id);

/* The earliest elapse; USEC_INFINITY: none. ret_active may be NULL. */
usec_t schedules_earliest(const Schedules *s, unsigned *ret_active);
