/* SPDX-License-Identifier: Apache-2.0 */

#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/daemon.h"
#include "sys/log.h"
#include "wire/names.h"

#include "services/keys/keys.h"

#define USAGE \
        "Usage: backupx-keys [OPTION…]\n" \
        "Makes the secrets that the BackupX master needs, those that are missing: the dispatcher's\n" \
        "key, the key that signs sessions, that of the API's own certificate, and the token of\n" \
        "the agent on this machine.\n" \
        "\n" \
        "  --plain DIR          plain files in DIR instead of credentials of systemd-creds\n" \
        "  --credstore DIR      where encrypted credentials go (/etc/credstore.encrypted)\n" \
        "  --state-dir DIR      state of the master (BACKUPX_STATE_DIR, /var/lib/backupx)\n" \
        "  --agent-token FILE   of the local agent (/etc/backupx-agent/token; plain: DIR/agent-token)\n" \
        "  --help, --version\n"

static int parse_argv(int argc, char *argv[], KeysConfig *config) {
        const struct option options[] = {
                { "plain", required_argument, NULL, 'p' },
                { "credstore", required_argument, NULL, 'c' },
                { "state-dir", required_argument, NULL, 's' },
                { "agent-token", required_argument, NULL, 't' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },
                {},
        };
        int c;

        assert(config);

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                switch (c) {
                case 'p':
                        config->plain = optarg;
                        break;
                case 'c':
                        config->credstore = optarg;
                        break;
                case 's':
                        config->state = optarg;
                        break;
                case 't':
                        config->agent_token = optarg;
                        break;
                case 'h':
                        fputs(USAGE, stdout);
                        return 0;
                case 'v':
                        puts("backupx-keys " BACKUPX_VERSION);
                        return 0;
                default:
                        return -EINVAL; /* getopt said why */
                }
        }
        if (optind < argc)
                return log_error_errno(EINVAL, "Unexpected argument '%s'", argv[optind]);
        return 1;
}

/* The path of a file in the same folder. */
static int beside(const char *path, const char *name, char **ret) {
        const char *slash = strrchr(path, '/');

        return asprintf_safe(ret, "%.*s%s", slash ? (int) (slash - path) + 1 : 0, path, name);
}

static int run(int argc, char *argv[]) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *token = NULL, *agent_config = NULL;
        KeysConfig config = {
                .credstore = "/etc/credstore.encrypted",
                .state = daemon_state_directory(),
        };
        int r;

        log_open("backupx-keys");
        umask(0077);

        r = parse_argv(argc, argv, &config);
        if (r <= 0)
                return r;
        if (!config.agent_token) {
                r = config.plain ? asprintf_safe(&token, "%s/agent-token", config.plain) :
                                   free_and_strdup(&token, "/etc/backupx-agent/token");
                if (r < 0)
                        return log_error_errno(r, "Out of memory");
                config.agent_token = token;
        }
        if (!config.plain) {
                r = beside(config.agent_token, "config.yaml", &agent_config);
                if (r < 0)
                        return log_error_errno(r, "Out of memory");
                config.agent_config = agent_config;
        }
        r = keys_make(&config, &failure);
        if (r < 0)
                return log_failure(r, &failure, "Cannot make the keys of the suite");
        if (r > 0)
                log_struct(LOG_NOTICE, MESSAGE_KEYS_MADE, NULL, "Made the missing keys of the suite");
        return 0;
}

DEFINE_MAIN(run);
