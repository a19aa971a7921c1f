#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The scheduler: WHEN. Turns schedules and requests into runs in the store, each once, and rings the
 * dispatcher's bell. All it knows is read from the store at start; a signal that is lost costs one poll
 * interval. */

#include "services/scheduler/decide.h"
#include "services/scheduler/request.h"
#include "services/scheduler/schedules.h"
#include "sys/bus.h"

/* How often the store is looked at when nobody says that it changed. */
#define SCHEDULER_POLL_USEC (5 * USEC_PER_SEC)
/* How often expressions are parsed again: the time zone database is updated on running machines. */
#define SCHEDULER_PARSE_USEC USEC_PER_HOUR
/* After a failure to write. */
#define SCHEDULER_RETRY_USEC (2 * USEC_PER_SEC)

typedef struct Scheduler {
        sd_event *event;
        Store *store;
        BusDoors *doors;
        Schedules schedules;
        Schedules verifies; /* of checks */
        bool paused;
        uint64_t data_version; /* of the store, when it was read last */
        usec_t clock_offset;   /* wall clock minus monotonic, when it was looked at last */
        usec_t parsed;         /* monotonic: when all expressions were parsed last */

        sd_event_source *elapse; /* the one timer, for the earliest elapse */
        sd_event_source *poll;
        sd_event_source *clock; /* tells that the clock was set */
        int clock_fd;
} Scheduler;

/* Opens the store and binds the objects; nothing runs before scheduler_start(). Logs. */
int scheduler_new(sd_event *event, Scheduler **ret) _warn_unused_;
Scheduler *scheduler_free(Scheduler *s);
int scheduler_start(Scheduler *s) _warn_unused_;

DEFINE_CLEANUP(Scheduler *, scheduler_free);

typedef enum Look {
        LOOK_CHANGES, /* the store is read when it changed */
        LOOK_ROWS,    /* the store is read */
        LOOK_ALL,     /* and every expression is parsed again */
} Look;

/* Reads the store, starts what is due, sets the timer. */
void scheduler_look(Scheduler *s, Look look);

/* The earliest elapse of anything; USEC_INFINITY: none. How many schedules are active; may be NULL. */
usec_t scheduler_earliest(const Scheduler *s, unsigned *ret_active);

/* Kept over restarts. Elapses of the pause are missed ones when it ends. */
int scheduler_set_paused(Scheduler *s, bool paused) _warn_unused_;

/* --- enqueue.c --- */

/* Puts a run into the queue, with its audit row in the same commit, and tells the dispatcher. Gives 0,
 * negative errno, or an outcome of store/run.h or store/store.h, each with a failure. */
int scheduler_queue(Scheduler *s, const RunRequest *request, uint64_t *ret_run, Failure *reterr_failure)
                _warn_unused_;
void scheduler_log_queued(const RunNew *n, uint64_t run);

/* --- retain.c --- */

/* Queues a prune behind each backup whose task keeps only some, as far as that was not done. */
int scheduler_retain(Scheduler *s) _warn_unused_;

/* --- verify.c --- */

/* Queues a check for this elapse, in the transaction of the caller. RUN_E_OVERLAP: the one before has not
 * ended; RUN_E_EXISTS; STORE_E_NOT_FOUND: there is nothing to look at, which the log has. */
int scheduler_add_verify(Scheduler *s, const Schedule *row, const Decision *d, uint64_t *ret_run)
                _warn_unused_;

/* --- scheduler-bus.c --- */

int scheduler_bus_add(Scheduler *s) _warn_unused_;
void scheduler_bus_emit_queued(Scheduler *s, uint64_t run);
