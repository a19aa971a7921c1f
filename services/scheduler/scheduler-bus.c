/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <systemd/sd-bus.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/scheduler/scheduler.h"
#include "wire/names.h"

/* What TestExpression() gives at most. */
#define TEST_TIMES_MAX 100U

/* The one place where outcomes become error names. */
static int reply_failure(sd_bus_error *error, int r, const Failure *failure) {
        static const struct {
                int result;
                const char *name;
        } table[] = {
                { RUN_E_OVERLAP, BUS_ERROR_CONFLICT },
                { STORE_E_STATE, BUS_ERROR_CONFLICT },
                { RUN_E_TASK, BUS_ERROR_NOT_FOUND },
                { RUN_E_SOURCE, BUS_ERROR_NOT_FOUND },
                { STORE_E_NOT_FOUND, BUS_ERROR_NOT_FOUND },
                { -EBADMSG, BUS_ERROR_INVALID_ARGUMENT },
                { -EINVAL, BUS_ERROR_INVALID_ARGUMENT },
                { -EBUSY, BUS_ERROR_UNAVAILABLE },
                { -ENOSPC, BUS_ERROR_UNAVAILABLE },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].result == r)
                        return sd_bus_error_set(error, table[i].name,
                                                failure_message(failure, r > 0 ? 0 : r));
        return sd_bus_error_set(error, BUS_ERROR_INTERNAL, failure_message(failure, r > 0 ? 0 : r));
}

static int append_schedule(sd_bus_message *reply, const Entry *e) {
        return sd_bus_message_append(reply, "(tsssbts)", e->row.task_id, strempty(e->row.task_name),
                                     strempty(e->row.expression), strempty(e->row.timezone),
                                     (int) e->row.task_enabled, e->row.next, strempty(e->row.error));
}

static int append_schedules(sd_bus_message *reply, void *userdata) {
        const Scheduler *s = ASSERT_PTR(userdata);
        int r = 0;

        for (size_t i = 0; i < s->schedules.n && r >= 0; i++)
                r = append_schedule(reply, s->schedules.items + i);
        return r;
}

static int method_list_schedules(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return bus_reply_array(m, "(tsssbts)", append_schedules, userdata, error);
}

static int method_next_elapse(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Scheduler *s = ASSERT_PTR(userdata);
        const Entry *e;
        uint64_t task;
        int r;

        r = bus_take(m, BUS_READ, error, "t", &task);
        if (r < 0)
                return r;
        e = schedules_find(&s->schedules, task);
        if (!e)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_FOUND,
                                         "There is no task %" PRIu64 " with a schedule", task);
        return sd_bus_reply_method_return(m, "t", entry_is_active(e) ? e->row.next : 0);
}

static int queue_and_reply(Scheduler *s, sd_bus_message *m, const RunRequest *request, sd_bus_error *error) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        uint64_t run;
        int r;

        r = scheduler_queue(s, request, &run, &failure);
        if (r != 0)
                return reply_failure(error, r, &failure);
        return sd_bus_reply_method_return(m, "t", run);
}

/* Who called, as far as the bus can tell. */
static int name_caller(sd_bus_message *m, char **ret) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;
        int r;

        r = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &uid);
        if (r < 0)
                return asprintf_safe(ret, "bus");
        return uid == 0 ? asprintf_safe(ret, "root") : asprintf_safe(ret, "uid %u", uid);
}

static int method_run_now(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(run_request_done) RunRequest request = { .kind = RUN_BACKUP };
        Scheduler *s = ASSERT_PTR(userdata);
        int r;

        r = bus_take(m, BUS_CHANGE, error, "t", &request.task_id);
        if (r < 0)
                return r;
        r = name_caller(m, &request.by.username);
        if (r < 0)
                return r;
        return queue_and_reply(s, m, &request, error);
}

static int method_queue_run(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(run_request_done) RunRequest request = RUN_REQUEST_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Scheduler *s = ASSERT_PTR(userdata);
        const char *json;
        int r;

        r = bus_take(m, BUS_CHANGE, error, "s", &json);
        if (r < 0)
                return r;
        r = run_request_parse(json, &request, &failure);
        if (r < 0)
                return reply_failure(error, r, &failure);
        return queue_and_reply(s, m, &request, error);
}

static int set_paused(sd_bus_message *m, Scheduler *s, bool paused, sd_bus_error *error) {
        int r;

        r = bus_sender_may(m, BUS_CHANGE, error);
        if (r < 0)
                return r;
        r = scheduler_set_paused(s, paused);
        if (r < 0)
                return reply_failure(error, r, NULL);
        return sd_bus_reply_method_return(m, "");
}

static int method_pause(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return set_paused(m, ASSERT_PTR(userdata), true, error);
}

static int method_resume(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return set_paused(m, ASSERT_PTR(userdata), false, error);
}

static int look(sd_bus_message *m, Scheduler *s, Look how, sd_bus_error *error) {
        int r;

        r = bus_sender_may(m, BUS_CHANGE, error);
        if (r < 0)
                return r;
        scheduler_look(s, how);
        return sd_bus_reply_method_return(m, "");
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return look(m, ASSERT_PTR(userdata), LOOK_ALL, error);
}

static int method_tasks_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return look(m, ASSERT_PTR(userdata), LOOK_ROWS, error);
}

static int append_times(sd_bus_message *reply, const Timetable *timetable, uint32_t n) {
        usec_t t = now_usec(CLOCK_REALTIME);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "t");
        for (uint32_t i = 0; i < n && r >= 0; i++) {
                r = timetable_next(timetable, t, &t);
                if (r != 0)
                        break;
                r = sd_bus_message_append(reply, "t", t);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_test_expression(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(timetable_freep) Timetable *timetable = NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const char *text, *zone;
        uint32_t n;
        int r;

        r = bus_take(m, BUS_READ, error, "ssu", &text, &zone, &n);
        if (r < 0)
                return r;
        r = timetable_new(text, zone, &timetable, &failure);
        if (r < 0)
                return reply_failure(error, r, &failure);
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_times(reply, timetable, MIN(n, TEST_TIMES_MAX));
        if (r < 0)
                return r;
        return sd_bus_message_send(reply);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", BACKUPX_VERSION);
}

static int get_next(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Scheduler *s = ASSERT_PTR(userdata);
        usec_t next = s->paused ? USEC_INFINITY : scheduler_earliest(s, NULL);

        return sd_bus_message_append(reply, "t", next == USEC_INFINITY ? 0 : next);
}

static int get_active(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Scheduler *s = ASSERT_PTR(userdata);
        unsigned active;

        scheduler_earliest(s, &active);
        return sd_bus_message_append(reply, "u", s->paused ? 0 : active);
}

static const sd_bus_vtable scheduler_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("NextElapseUSec", "t", get_next, 0, 0),
        SD_BUS_PROPERTY("ActiveSchedules", "u", get_active, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("ListSchedules", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(tsssbts)", schedules),
                                method_list_schedules, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("NextElapse", SD_BUS_ARGS("t", task), SD_BUS_RESULT("t", usec),
                                method_next_elapse, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RunNow", SD_BUS_ARGS("t", task), SD_BUS_RESULT("t", run), method_run_now,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_pause,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_resume,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("TestExpression", SD_BUS_ARGS("s", text, "s", timezone, "u", n),
                                SD_BUS_RESULT("at", usec), method_test_expression,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("RunQueued", SD_BUS_ARGS("t", run), 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable internal_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("QueueRun", SD_BUS_ARGS("s", json), SD_BUS_RESULT("t", run),
                                method_queue_run, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("TasksChanged", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_tasks_changed,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int scheduler_bus_add(Scheduler *s) {
        int r;

        assert(s);

        r = bus_doors_add_vtable(s->doors, BUS_SCHEDULER_INTERFACE, scheduler_vtable, s);
        if (r < 0)
                return r;
        return bus_doors_add_vtable(s->doors, BUS_SCHEDULER_INTERNAL, internal_vtable, s);
}

void scheduler_bus_emit_queued(Scheduler *s, uint64_t run) {
        assert(s);

        bus_doors_emit(s->doors, BUS_SCHEDULER_INTERFACE, "RunQueued", "t", run);
}
