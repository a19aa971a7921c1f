/* SPDX-License-Identifier: Apache-2.0 */

/* One timer, for the earliest elapse of all schedules, and two tables in memory, of backups and of checks,
 * that are read again whenever the store's data_version says that somebody wrote. Each elapse becomes its
 * run and the schedule's next time in one commit: killed before it, the scheduler decides the same again;
 * killed behind it, it finds it done.
 *
 * The wall clock may be set while we wait: a timerfd tells, and the tables are looked at again. A timer that
 * fires late, or a machine that slept, is what catch-up is for (decide.c). */

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "services/scheduler/decide.h"
#include "services/scheduler/scheduler.h"
#include "store/setting.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/names.h"

#define SETTING_PAUSED "scheduler.paused"
/* The clocks drift apart by less than this between two looks. */
#define CLOCK_STEP_USEC USEC_PER_SEC

#ifndef TFD_TIMER_CANCEL_ON_SET
#        define TFD_TIMER_CANCEL_ON_SET (1 << 1)
#endif

static usec_t now_wall(void) {
        return now_usec(CLOCK_REALTIME);
}

/* --- Runs --- */

static void log_missed(const Entry *e, const char *text, uint64_t run) {
        log_struct(LOG_WARNING, MESSAGE_RUN_MISSED, LOG_FIELDS(LOG_RUN(run), LOG_TASK(e->row.task_id)),
                   "Task '%s': %s", strempty(e->row.task_name), text);
}

static RunKind kind_of(const Entry *e) {
        switch (e->row.kind) {
        case SCHEDULE_BACKUP:
                return RUN_BACKUP;
        case SCHEDULE_VERIFY:
                return RUN_VERIFY;
        case _SCHEDULE_KIND_MAX:
        case _SCHEDULE_KIND_INVALID:
                break;
        }
        return RUN_BACKUP;
}

/* Records an elapse that no run was started for. */
static int add_missed(Scheduler *s, const Entry *e, usec_t scheduled_for, const char *code,
                      const char *text) {
        const RunNew n = {
                .kind = kind_of(e),
                .state = RUN_MISSED,
                .task_id = e->row.task_id,
                .origin = "schedule",
                .scheduled_for = scheduled_for,
                .error_code = code,
                .error = text,
        };
        uint64_t run;
        int r;

        assert(s);

        r = run_add(s->store, &n, now_wall(), &run);
        if (r == 0)
                log_missed(e, text, run);
        return r < 0 ? r : 0;
}

static int add_backup(Scheduler *s, const Entry *e, const Decision *d, uint64_t *ret_run) {
        const RunNew n = {
                .kind = RUN_BACKUP,
                .state = RUN_QUEUED,
                .task_id = e->row.task_id,
                .origin = d->caught_up ? "catch_up" : "schedule",
                .scheduled_for = d->run_for,
                .deadline = d->deadline,
        };
        int r;

        assert(s);
        assert(ret_run);

        r = run_add(s->store, &n, now_wall(), ret_run);
        if (r == 0)
                scheduler_log_queued(&n, *ret_run);
        return r;
}

/* *ret_run stays as it is where nothing is started. */
static int add_elapse(Scheduler *s, const Entry *e, const Decision *d, uint64_t *ret_run) {
        int r;

        assert(e);

        r = e->row.kind == SCHEDULE_VERIFY ? scheduler_add_verify(s, &e->row, d, ret_run) :
                                             add_backup(s, e, d, ret_run);
        if (r == RUN_E_OVERLAP)
                return add_missed(s, e, d->run_for, "OVERLAP",
                                  "The elapse was skipped, since the run before it has not ended");
        return MIN(r, 0);
}

static int add_unstarted(Scheduler *s, const Entry *e, const Decision *d) {
        char first[RFC3339_MAX], last[RFC3339_MAX];
        _cleanup_(freep) char *text = NULL;
        int r;

        assert(d);

        format_rfc3339(first, d->missed_first);
        format_rfc3339(last, d->missed_for);
        if (d->n_missed > 1)
                r = asprintf_safe(
                                &text,
                                "%s%u elapses from %s to %s passed while the scheduler was paused or not"
                                " running, and the task does not catch up",
                                d->n_missed >= DECIDE_COUNT_MAX ? "At least " : "", d->n_missed, first,
                                last);
        else
                r = asprintf_safe(
                                &text,
                                "The elapse at %s passed while the scheduler was paused or not running, and"
                                " the task does not catch up",
                                last);
        if (r < 0)
                return r;
        return add_missed(s, e, d->missed_for, "NOT_RUNNING", text);
}

/* One elapse is decided in one commit: the runs and the schedule's next time. */
static int decide_entry(Scheduler *s, Entry *e, usec_t now) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        Schedule row = e->row; /* borrows the texts */
        uint64_t run = 0;
        Decision d;
        int r;

        assert(s);

        r = decide(e->timetable, e->row.next, e->row.catch_up, now, &d);
        if (r < 0)
                return r;
        if (!d.run && !d.missed)
                return 0;
        r = store_begin(s->store, &tx);
        if (r < 0)
                return r;
        if (d.missed) {
                r = add_unstarted(s, e, &d);
                if (r < 0)
                        return r;
        }
        if (d.run) {
                r = add_elapse(s, e, &d, &run);
                if (r < 0)
                        return r;
        }
        row.next = d.next;
        row.last = d.last;
        r = schedule_put(s->store, &row);
        if (r < 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        e->row.next = d.next;
        e->row.last = d.last;
        if (run > 0)
                scheduler_bus_emit_queued(s, run);
        return 0;
}

/* --- Looking --- */

static void say_status(Scheduler *s, usec_t earliest, unsigned active) {
        char text[RFC3339_MAX];

        if (s->paused)
                notify_status("Paused, %u schedules wait", active);
        else if (earliest == USEC_INFINITY)
                notify_status("No schedule is active");
        else
                notify_status("%u schedules, the next one at %s", active, format_rfc3339(text, earliest));
}

static void set_timer(Scheduler *s, usec_t at) {
        int r;

        assert(s);

        if (!s->elapse)
                return;
        if (at != USEC_INFINITY) {
                r = sd_event_source_set_time(s->elapse, at);
                if (r >= 0)
                        r = sd_event_source_set_enabled(s->elapse, SD_EVENT_ONESHOT);
        } else
                r = sd_event_source_set_enabled(s->elapse, SD_EVENT_OFF);
        if (r < 0)
                log_error_errno(r, "Failed to set the timer, ignoring: %m");
}

usec_t scheduler_earliest(const Scheduler *s, unsigned *ret_active) {
        unsigned backups, verifies;
        usec_t a, b;

        assert(s);

        a = schedules_earliest(&s->schedules, &backups);
        b = schedules_earliest(&s->verifies, &verifies);
        if (ret_active)
                *ret_active = backups + verifies;
        return MIN(a, b);
}

/* -EBUSY: somebody holds the lock; otherwise the last failure. All are logged. */
static int start_due(Scheduler *s, Schedules *schedules, usec_t now) {
        int failed = 0;

        assert(s);
        assert(schedules);

        for (size_t i = 0; i < schedules->n; i++) {
                Entry *e = schedules->items + i;
                int r;

                if (!entry_is_active(e) || e->row.next > now)
                        continue;
                r = decide_entry(s, e, now);
                if (r >= 0)
                        continue;
                failed = r;
                log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED, LOG_FIELDS(LOG_TASK(e->row.task_id)),
                                 "Failed to start task '%s', trying again: %m", strempty(e->row.task_name));
                /* Waiting for the lock once is enough for one turn: the watchdog waits, too. */
                if (r == -EBUSY)
                        break;
        }
        return failed;
}

static void look_at_due(Scheduler *s) {
        usec_t now = now_wall(), at;
        unsigned active;
        int r = 0, k = 0;

        assert(s);

        if (!s->paused)
                r = start_due(s, &s->schedules, now);
        if (!s->paused && r != -EBUSY)
                k = start_due(s, &s->verifies, now);
        at = scheduler_earliest(s, &active);
        say_status(s, at, active);
        if (r < 0 || k < 0)
                at = usec_add(now, SCHEDULER_RETRY_USEC);
        set_timer(s, s->paused ? USEC_INFINITY : at);
}

static void look_at_retention(Scheduler *s) {
        int r;

        assert(s);

        if (s->paused)
                return;
        r = scheduler_retain(s);
        if (r < 0)
                log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED, NULL,
                                 "Failed to start what removes old backups, trying again: %m");
}

void scheduler_look(Scheduler *s, Look look) {
        usec_t now = now_usec(CLOCK_MONOTONIC);
        uint64_t version = 0;
        int r;

        assert(s);

        if (now - s->parsed >= SCHEDULER_PARSE_USEC)
                look = LOOK_ALL;
        if (look == LOOK_ALL)
                s->parsed = now;
        r = store_data_version(s->store, &version);
        if (r < 0 || look != LOOK_CHANGES || version != s->data_version) {
                r = schedules_refresh(&s->schedules, s->store, now_wall(), look == LOOK_ALL);
                if (r >= 0)
                        r = schedules_refresh(&s->verifies, s->store, now_wall(), look == LOOK_ALL);
                if (r < 0)
                        log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED, NULL,
                                         "Failed to look at the schedules, trying again: %m");
                else
                        s->data_version = version;
                look_at_retention(s);
        }
        look_at_due(s);
}

/* --- The clock --- */

/* Asks to be woken when the wall clock is set, by somebody or by a network. */
static int arm_clock(Scheduler *s) {
        static const struct itimerspec never = { .it_value.tv_sec = INT64_MAX };

        if (timerfd_settime(s->clock_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0)
                return -errno;
        return 0;
}

static usec_t clock_offset(void) {
        return now_usec(CLOCK_REALTIME) - now_usec(CLOCK_MONOTONIC);
}

static void take_clock(Scheduler *s) {
        int r;

        s->clock_offset = clock_offset();
        r = schedules_step(&s->schedules, now_wall());
        if (r >= 0)
                r = schedules_step(&s->verifies, now_wall());
        if (r < 0)
                log_error_errno(r, "Failed to follow the clock, ignoring: %m");
}

static int on_clock(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Scheduler *s = ASSERT_PTR(userdata);
        uint64_t ticks;
        int r;

        if (read(fd, &ticks, sizeof ticks) < 0 && errno == EAGAIN)
                return 0;
        log_notice("The clock was set; looking at all schedules again");
        r = arm_clock(s);
        if (r < 0)
                log_error_errno(r, "Failed to watch the clock, ignoring: %m");
        take_clock(s);
        scheduler_look(s, LOOK_CHANGES);
        return 0;
}

static int on_elapse(sd_event_source *source, uint64_t usec, void *userdata) {
        Scheduler *s = ASSERT_PTR(userdata);

        look_at_due(s);
        return 0;
}

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        Scheduler *s = ASSERT_PTR(userdata);
        usec_t offset = clock_offset(),
               moved = offset > s->clock_offset ? offset - s->clock_offset : s->clock_offset - offset;
        int r;

        if (moved > CLOCK_STEP_USEC)
                take_clock(s);
        scheduler_look(s, LOOK_CHANGES);
        r = event_rearm(source, SCHEDULER_POLL_USEC);
        return r < 0 ? log_error_errno(r, "Failed to set the poll timer: %m") : 0;
}

/* --- Pausing --- */

int scheduler_set_paused(Scheduler *s, bool paused) {
        int r;

        assert(s);

        r = setting_set(s->store, SETTING_PAUSED, paused ? "yes" : NULL);
        if (r < 0)
                return r;
        if (s->paused != paused)
                log_notice("The schedules are %s", paused ? "paused" : "resumed");
        s->paused = paused;
        look_at_due(s);
        return 0;
}

/* --- Life --- */

Scheduler *scheduler_free(Scheduler *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->elapse);
        sd_event_source_disable_unref(s->poll);
        sd_event_source_disable_unref(s->clock);
        safe_close(s->clock_fd);
        bus_doors_free(s->doors);
        schedules_done(&s->schedules);
        schedules_done(&s->verifies);
        store_close(s->store);
        sd_event_unref(s->event);
        return mfree(s);
}

static int open_store(Scheduler *s) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *path = NULL, *paused = NULL;
        int r;

        assert(s);

        r = asprintf_safe(&path, "%s/" FILE_DATABASE, daemon_state_directory());
        if (r < 0)
                return log_error_errno(r, "Out of memory");
        r = store_open(path, STORE_SCHEDULER, &s->store, &failure);
        if (r < 0)
                return log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED, NULL, "%s",
                                        failure_message(&failure, r));
        r = setting_get(s->store, SETTING_PAUSED, &paused);
        if (r < 0)
                return log_error_errno(r, "Failed to read whether the schedules are paused: %m");
        s->paused = r == 0;
        return 0;
}

static int open_door(Scheduler *s) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int fd, r;

        assert(s);

        fd = daemon_listen_private("scheduler", &failure);
        if (fd < 0)
                return log_failure(fd, &failure, "Failed to open the private socket");
        r = bus_doors_new(s->event, BUS_SCHEDULER_NAME, BUS_SCHEDULER_PATH, fd, &s->doors);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the bus: %m");
        r = scheduler_bus_add(s);
        if (r < 0)
                return log_error_errno(r, "Failed to export the object: %m");
        return 0;
}

int scheduler_new(sd_event *event, Scheduler **ret) {
        _cleanup_(scheduler_freep) Scheduler *s = NULL;
        int r;

        assert(event);
        assert(ret);

        s = new0(Scheduler, 1);
        if (!s)
                return log_error_errno(-ENOMEM, "Out of memory");
        s->clock_fd = -EBADF;
        s->verifies.kind = SCHEDULE_VERIFY;
        s->event = sd_event_ref(event);
        r = open_store(s);
        if (r < 0)
                return r;
        r = open_door(s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

static int start_timers(Scheduler *s) {
        int r;

        assert(s);

        r = sd_event_add_time(s->event, &s->elapse, CLOCK_REALTIME, 0, 1, on_elapse, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->elapse, SD_EVENT_OFF);
        if (r >= 0)
                r = event_add_timer(s->event, &s->poll, SCHEDULER_POLL_USEC, on_poll, s);
        if (r < 0)
                return r;
        s->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        if (s->clock_fd < 0)
                return -errno;
        r = sd_event_add_io(s->event, &s->clock, s->clock_fd, EPOLLIN, on_clock, s);
        if (r >= 0)
                r = arm_clock(s);
        s->clock_offset = clock_offset();
        return r;
}

int scheduler_start(Scheduler *s) {
        int r;

        assert(s);

        r = start_timers(s);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the timers: %m");
        r = bus_doors_start(s->doors);
        if (r < 0)
                return log_error_errno(r, "Failed to open the bus: %m");
        scheduler_look(s, LOOK_ALL);
        return 0;
}
