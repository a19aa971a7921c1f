/* SPDX-License-Identifier: Apache-2.0 */
#include "services/scheduler/scheduler.h"
#include "sys/config.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/names.h"

static int run(int argc, char *argv[]) {
        _cleanup_(scheduler_freep) Scheduler *s = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_event_ sd_event *event = NULL;
        _cleanup_(notify_stopping) bool ready = false;
        const char *config = NULL;
        int r;

        log_open("backupx-scheduler");

        r = daemon_parse_argv("backupx-scheduler", "Decides when tasks run.", argc, argv,
                              &config);
        if (r <= 0)
                return r;

        r = config_apply_log_level(config, &failure);
        if (r < 0)
                return log_struct_errno(LOG_ERR, r, MESSAGE_CONFIG_INVALID, NULL, "%s",
                                        failure_message(&failure, r));

        r = event_new(&event);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the event loop: %m");

        r = scheduler_new(event, &s); /* logs: store, sockets, bus */
        if (r < 0)
                return r;

        r = scheduler_start(s); /* logs: timers, doors */
        if (r < 0)
                return r;

        ready = notify_ready();
        r = sd_event_loop(event);
        return r < 0 ? log_error_errno(r, "The event loop failed: %m") : r;
}

DEFINE_MAIN(run);
