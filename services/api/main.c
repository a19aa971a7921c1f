/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/parse.h"
#include "sys/daemon.h"
#include "sys/log.h"
#include "wire/names.h"

#include "services/api/api-tls.h"
#include "services/api/routes.h"

typedef struct Arguments {
        const char *config;
        uint32_t reload; /* the process that is to take a new certificate; 0: none */
} Arguments;

static int help(void) {
        printf("backupx-api [OPTIONS...]\n\n"
               "Serves people, programs and agents over HTTP.\n\n"
               "     --config=FILE  Configuration (default " API_CONFIG_PATH ")\n"
               "     --reload=PID   Check the certificate, and have that process take it\n"
               "     --list-routes  Print the routes: method, path, access, body limit\n"
               "  -h --help         Show this help\n"
               "     --version      Show the version\n");
        return 0;
}

static int list_routes(void) {
        size_t n;
        const Route *routes = routes_all(&n);

        for (size_t i = 0; i < n; i++) {
                char methods[ROUTE_ALLOW_MAX];

                printf("%s %s %s %zu %s\n", method_format(routes[i].method, methods), routes[i].pattern,
                       access_to_string(routes[i].access), routes[i].body_max,
                       routes[i].query ? routes[i].query : "");
        }
        return 0;
}

static int parse_argv(int argc, char *argv[], Arguments *ret) {
        assert(ret);

        enum {
                OPTION_CONFIG = 256,
                OPTION_LIST_ROUTES,
                OPTION_RELOAD,
                OPTION_VERSION,
        };
        const struct option options[] = {
                { "config", required_argument, NULL, OPTION_CONFIG },
                { "reload", required_argument, NULL, OPTION_RELOAD },
                { "list-routes", no_argument, NULL, OPTION_LIST_ROUTES },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case OPTION_CONFIG:
                        ret->config = optarg;
                        break;
                case OPTION_RELOAD:
                        if (parse_u32(optarg, 2, INT32_MAX, &ret->reload) < 0) {
                                fprintf(stderr, "backupx-api: '%s' is not a process\n", optarg);
                                return -EINVAL;
                        }
                        break;
                case OPTION_LIST_ROUTES:
                        return list_routes();
                case OPTION_VERSION:
                        puts("backupx-api " BACKUPX_VERSION);
                        return 0;
                case 'h':
                        return help();
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "backupx-api: unexpected argument '%s'\n", argv[optind]);
                return -EINVAL;
        }
        return 1;
}

/* For ExecReload=: what the daemon could not take is told here, where "systemctl reload" looks. */
static int reload(const ApiConfig *config, uint32_t pid) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        r = api_tls_check(config, &failure);
        if (r < 0)
                return log_failure(r, &failure, "Nothing was reloaded");
        if (kill((pid_t) pid, SIGHUP) < 0)
                return log_error_errno(errno, "Failed to signal process %" PRIu32 ": %m", pid);
        return 0;
}

static int run(int argc, char *argv[]) {
        _cleanup_(api_config_done) ApiConfig config = API_CONFIG_DEFAULTS;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(notify_stopping) bool ready = false;
        _cleanup_(api_freep) Api *api = NULL;
        Arguments arguments = {};
        int r;

        log_open("backupx-api");

        r = parse_argv(argc, argv, &arguments);
        if (r <= 0)
                return r;
        r = api_config_load(arguments.config, &config, &failure);
        if (r < 0)
                return log_struct_errno(LOG_ERR, r, MESSAGE_CONFIG_INVALID, NULL,
                                        "Failed to read the configuration: %s",
                                        failure_message(&failure, r));
        if (config.log_level >= 0)
                log_set_max_level(config.log_level);
        if (arguments.reload > 0)
                return reload(&config, arguments.reload);
        r = api_tls_block_signal();
        if (r < 0)
                return log_error_errno(r, "Failed to start: %m");
        r = api_new(&config, &api);
        if (r < 0)
                return r;
        r = api_start(api);
        if (r < 0)
                return r;
        ready = notify_ready();
        r = sd_event_loop(api->event);
        if (r < 0)
                return log_error_errno(r, "The event loop failed: %m");
        notify_stopping(&ready);
        api_stop(api);
        return r;
}

DEFINE_MAIN(run);
