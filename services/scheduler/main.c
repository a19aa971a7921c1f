/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>

#include "services/scheduler/scheduler.h"
#include "sys/config.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/names.h"

static int parse_argv(int argc, char *argv[], const char **ret_config) {
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };

        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        *ret_config = optarg;
                        break;
                case 'h':
                        puts("backupx-scheduler [OPTIONS...]\n\n"
                             "Decides when tasks run.\n\n"
                             "     --config=FILE  Configuration (default " CONFIG_MASTER_PATH ")\n"
                             "  -h --help         Show this help\n"
                             "     --version      Show the version");
                        return 0;
                case 'V':
                        puts("backupx-scheduler " BACKUPX_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "backupx-scheduler: unexpected argument '%s'\n", argv[optind]);
                return -EINVAL;
        }
        return 1;
}

static int run(int argc, char *argv[]) {
        _cleanup_(scheduler_freep) Scheduler *s = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_event_ sd_event *event = NULL;
        _cleanup_(notify_stopping) bool ready = false;
        const char *config = NULL;
        int r;

        log_open("backupx-scheduler");

        r = parse_argv(argc, argv, &config);
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
