/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/agent.h"
#include "cli/api.h"
#include "cli/help.h"
#include "cli/program.h"
#include "sys/daemon.h"

static int usage_error(const char *word) {
        fprintf(stderr, "backupx: There is no command %s: see backupx help\n", word);
        return EXIT_USAGE;
}

/* What is no command of the table: help, a noun without its verb, the agent, Backint. */
static int other(int argc, char *argv[]) {
        if (argc < 2 || streq(argv[1], "--help") || streq(argv[1], "-h")) {
                help_overview(NULL);
                return argc < 2 ? EXIT_USAGE : EXIT_DONE;
        }
        if (streq(argv[1], "--version")) {
                puts("backupx " BACKUPX_VERSION);
                return EXIT_DONE;
        }
        if (streq(argv[1], "agent"))
                return agent_main(argc - 1, argv + 1);
        if (streq(argv[1], "backint"))
                return program_become("backupx-backint", argv + 1);
        if (!help_is_noun(argv[1]))
                return usage_error(argv[1]);
        help_overview(argv[1]);
        return argc == 2 || streq(argv[2], "--help") || streq(argv[2], "-h") ? EXIT_DONE : EXIT_USAGE;
}

/* SAP HANA knows one name of a program, and calls it with options alone. */
static bool is_called_by_database(const char *name) {
        const char *slash = name ? strrchr(name, '/') : NULL;

        return streq_ptr(slash ? slash + 1 : name, "hdbbackint");
}

static int run(int argc, char *argv[]) {
        _cleanup_(arguments_done) Arguments arguments = ARGUMENTS_NULL;
        _cleanup_(cli_done) Cli cli = CLI_NULL;
        const Command *command;
        int used = 0, r;

        if (is_called_by_database(argv[0]))
                return program_become("backupx-backint", argv);
        (void) setlocale(LC_ALL, "");
        command = command_find(argv + 1, argc - 1, &used);
        if (!command)
                return other(argc, argv);
        r = arguments_parse(command, argc - 1 - used, argv + 1 + used, &arguments, &cli.failure);
        if (r < 0)
                return cli_fail(&cli, r);
        if (arguments_has(&arguments, "help")) {
                help_command(command);
                return EXIT_DONE;
        }
        r = cli_configure(&cli, &arguments);
        if (r >= 0)
                r = command->run(&cli, &arguments);
        return r < 0 ? cli_fail(&cli, r) : r;
}

DEFINE_MAIN(run);
