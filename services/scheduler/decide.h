#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What to do about a schedule now: a function of its arguments. An elapse is decided once; which one,
 * whether a run is started for it, and what is recorded of those that nobody started, is settled here. */

#include "wire/calendar.h"

/* An elapse that is this late was not missed: a loop that was busy, a daemon that was restarted. */
#define DECIDE_ON_TIME_USEC USEC_PER_MINUTE

/* A run waits for its node until the next elapse would start it anyway, but at least and at most this long;
 * without a next elapse, and by hand, for a day. */
#define DECIDE_WAIT_MIN_USEC (5 * USEC_PER_MINUTE)
#define DECIDE_WAIT_MAX_USEC (7 * USEC_PER_DAY)
#define DECIDE_WAIT_DEFAULT_USEC USEC_PER_DAY
/* So much before the next elapse, that the one has ended when the other begins. */
#define DECIDE_WAIT_MARGIN_USEC (5 * USEC_PER_SEC)

/* Elapses that passed are counted up to here; then it is "more than". */
#define DECIDE_COUNT_MAX 1000U

typedef struct Decision {
        bool run;
        bool caught_up; /* the run comes late */
        usec_t run_for; /* its elapse */
        usec_t deadline;

        bool missed;         /* to be recorded: not started, and not to be */
        usec_t missed_first; /* the earliest of them */
        usec_t missed_for;   /* the latest */
        unsigned n_missed;   /* DECIDE_COUNT_MAX: at least */

        usec_t last; /* the latest elapse that is decided with this; 0: none */
        usec_t next; /* the coming one; 0: none any more */
} Decision;

/* next is the elapse that the schedule waits for. Nothing is done before it. */
int decide(const Timetable *timetable, usec_t next, bool catch_up, usec_t now, Decision *ret) _warn_unused_;

/* The elapse to wait for after the clock was set, the daemon was started or a zone got other rules: what is
 * due stays due, everything else is looked up again. Those that had a run when the clock stood later have it
 * still (runs are unique), so none is started twice. 0: none any more. */
int decide_next_after_step(const Timetable *timetable, usec_t next, usec_t now, usec_t *ret) _warn_unused_;

/* Until when a run that is queued now waits for its node. next 0: there is none. */
usec_t decide_deadline(usec_t next, usec_t now);
