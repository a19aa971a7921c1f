/* SPDX-License-Identifier: Apache-2.0 */

/* Help from the table of commands: for people, and as JSON for completion and the man page. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/help.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/verbs.h"

#define HELP_COLUMN 34

static const char *const exit_statuses[] = {
        [EXIT_DONE] = "done",
        [EXIT_ERROR] = "failed in a way that is not named below",
        [EXIT_USAGE] = "the command line is wrong",
        [EXIT_UNREACHABLE] = "the server did not answer",
        [EXIT_DENIED] = "not logged in, or not allowed",
        [EXIT_NOT_FOUND] = "there is no such object",
        [EXIT_CONFLICT] = "the object exists already, or its state does not allow it",
        [EXIT_RUN_FAILED] = "with --wait or -f: the run ended, but did not succeed",
        [EXIT_RUN_PARTIAL] = "with --wait or -f: something is missing in the backup or restore",
};

static void print_two(const char *left, const char *right) {
        int width = (int) text_width(left);

        printf("  %s%*s%s\n", left, width < HELP_COLUMN - 2 ? HELP_COLUMN - 2 - width : 1, "", right);
}

static void print_option(const Option *o) {
        char left[96], letter[8] = "    ";

        assert(o);

        if (o->letter)
                (void) snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        (void) snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
                        strempty(o->argument));
        print_two(left, o->help);
        if (o->choices)
                printf("%*sone of: %s\n", HELP_COLUMN, "", o->choices);
}

static void usage_line(char *buf, size_t n, const Command *c) {
        (void) snprintf(buf, n, "%s%s%s%s%s", c->noun, c->verb ? " " : "", strempty(c->verb),
                        c->operands ? " " : "", strempty(c->operands));
}

void help_command(const Command *c) {
        char usage[96];
        size_t n;
        const Option *global = command_global_options(&n);

        assert(c);

        usage_line(usage, sizeof(usage), c);
        printf("backupx %s [OPTION…]\n\n%c%s.\n", usage, c->summary[0] - 'a' + 'A', c->summary + 1);
        if (c->description)
                printf("%s\n", c->description);
        if (c->n_options > 0)
                puts("\nOptions:");
        for (size_t i = 0; i < c->n_options; i++)
                print_option(c->options + i);
        puts("\nOptions of every command:");
        for (size_t i = 0; i < n; i++)
                print_option(global + i);
}

void help_overview(const char *noun) {
        size_t n;
        const Command *table = command_table(&n);
        const char *previous = NULL;

        if (!noun)
                puts("backupx COMMAND [OPTION…]\n\n"
                     "Backs up, restores and looks after the backups of many servers.");
        for (size_t i = 0; i < n; i++) {
                char usage[96];

                if (noun && !streq(table[i].noun, noun))
                        continue;
                if (!previous || (!streq(previous, table[i].noun) && table[i].verb))
                        putchar('\n');
                previous = table[i].noun;
                usage_line(usage, sizeof(usage), table + i);
                print_two(usage, table[i].summary);
        }
        if (noun)
                return;
        putchar('\n');
        print_two("agent …", "run the agent of this machine: backupx agent --help");
        print_two("agent allow-storage DIR", "let backup jobs of this machine write to a directory (root)");
        print_two("backint …", "back up SAP HANA, which calls it as hdbbackint: backupx backint -h");
        puts("\nMore about one of them: backupx help COMMAND, backupx COMMAND --help, man backupx");
}

/* --- JSON ---------------------------------------------------------------------------------------------- */

static json_t *option_json(const Option *o) {
        const char letter[2] = { o->letter, 0 };
        bool repeats = o->kind == OPTION_LIST || o->kind == OPTION_PATHS || o->kind == OPTION_TARGETS ||
                        o->kind == OPTION_PAIRS || o->kind == OPTION_SECRETS;
        const char *completes = o->kind == OPTION_NODE ? "nodes" :
                        o->kind == OPTION_TARGETS      ? "targets" :
                                                         NULL;

        return json_pack("{s:s, s:s?, s:s?, s:s?, s:b, s:s?, s:s}", "name", o->name, "letter",
                         o->letter ? letter : NULL, "argument", o->argument, "choices", o->choices,
                         "repeats", (int) repeats, "completes", completes, "help", o->help);
}

static json_t *options_json(const Option *options, size_t n) {
        json_t *list = json_array();

        for (size_t i = 0; i < n; i++)
                (void) json_array_append_new(list, option_json(options + i));
        return list;
}

static json_t *command_json(const Command *c) {
        return json_pack("{s:s, s:s?, s:s?, s:s?, s:s, s:s?, s:o}", "noun", c->noun, "verb", c->verb,
                         "operands", c->operands, "completion", c->completion, "summary", c->summary,
                         "description", c->description, "options", options_json(c->options, c->n_options));
}

json_t *help_json(void) {
        size_t n, n_global;
        const Command *table = command_table(&n);
        const Option *global = command_global_options(&n_global);
        json_t *commands = json_array(), *statuses = json_array();

        for (size_t i = 0; i < n; i++)
                (void) json_array_append_new(commands, command_json(table + i));
        for (size_t i = 0; i < ELEMENTSOF(exit_statuses); i++)
                (void) json_array_append_new(statuses, json_string(exit_statuses[i]));
        return json_pack("{s:s, s:o, s:o, s:o}", "version", BACKUPX_VERSION, "options",
                         options_json(global, n_global), "commands", commands, "exit_statuses", statuses);
}

int verb_help(Cli *c, const Arguments *a) {
        const char *noun = arguments_operand(a, 0);
        const Command *command;
        int used;

        assert(c);
        assert(a);

        if (c->json) {
                _cleanup_json_ json_t *all = help_json();

                return all ? show_json(all) : -ENOMEM;
        }
        if (!noun) {
                help_overview(NULL);
                return 0;
        }
        command = command_find((char *const *) a->operands, (int) a->n_operands, &used);
        if (command)
                help_command(command);
        else if (help_is_noun(noun))
                help_overview(noun);
        else
                return failure_set(&c->failure, -ENOENT, "USAGE", "There is no command %s.", noun);
        return 0;
}

bool help_is_noun(const char *noun) {
        size_t n;
        const Command *table = command_table(&n);

        assert(noun);

        for (size_t i = 0; i < n; i++)
                if (streq(table[i].noun, noun))
                        return true;
        return false;
}
