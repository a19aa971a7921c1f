/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/command.h"

void arguments_done(Arguments *a) {
        assert(a);

        free(a->given);
        *a = ARGUMENTS_NULL;
}

const Command *command_find(char *const *argv, int argc, int *ret_used) {
        size_t n;
        const Command *table = command_table(&n);

        assert(ret_used);

        for (size_t i = 0; i < n; i++) {
                if (argc < 1 || !streq(table[i].noun, argv[0]))
                        continue;
                if (table[i].verb && (argc < 2 || !streq(table[i].verb, argv[1])))
                        continue;
                *ret_used = table[i].verb ? 2 : 1;
                return table + i;
        }
        return NULL;
}

void command_operands(const Command *c, size_t *ret_min, size_t *ret_max) {
        assert(c);
        assert(ret_min);
        assert(ret_max);

        *ret_min = *ret_max = 0;
        for (const char *p = c->operands; p && *p; p += strcspn(p, " "), p += strspn(p, " ")) {
                size_t n = strcspn(p, " ");

                if (*p != '[')
                        (*ret_min)++;
                (*ret_max)++;
                /* An ellipsis, three bytes of UTF-8, at the end of a word: any number of it. */
                if (memmem(p, n, "…", STRLEN("…")))
                        *ret_max = SIZE_MAX;
        }
}

/* Whether text (of n bytes) is one of "a|b|c". */
static bool is_choice(const char *choices, const char *value) {
        size_t n = strlen(value);

        for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|')
                if (strcspn(p, "|") == n && strncmp(p, value, n) == 0)
                        return true;
        return false;
}

static const Option *find_in(const Option *options, size_t n_options, const char *name, size_t n,
                             char letter) {
        for (size_t i = 0; i < n_options; i++)
                if (letter ? options[i].letter == letter :
                             strlen(options[i].name) == n && strncmp(options[i].name, name, n) == 0)
                        return options + i;
        return NULL;
}

static const Option *find_option(const Command *c, const char *name, size_t n, char letter) {
        size_t n_global;
        const Option *global = command_global_options(&n_global), *found;

        found = find_in(c->options, c->n_options, name, n, letter);
        return found ? found : find_in(global, n_global, name, n, letter);
}

static int add_given(Arguments *a, const Option *option, const char *value, Failure *reterr_failure) {
        if (option->argument && value && option->choices && !is_choice(option->choices, value))
                return failure_set(reterr_failure, -EINVAL, "USAGE", "--%s is one of %s, not '%s'.",
                                   option->name, option->choices, value);
        a->given[a->n_given++] = (Given){ option, value };
        return 0;
}

/* One word that starts with a dash; *i moves on when the value is the next word. */
static int parse_option(Arguments *a, int argc, char **argv, int *i, Failure *reterr_failure) {
        const char *word = argv[*i], *name = word, *equals = NULL, *value = NULL;
        const Option *option;

        assert(a);

        if (word[1] == '-') {
                name = word + 2;
                equals = strchr(name, '=');
                option = find_option(a->command, name, equals ? (size_t) (equals - name) : strlen(name), 0);
        } else
                option = find_option(a->command, NULL, 0, word[1]);
        if (!option || (word[1] != '-' && word[2] != 0 && !option->argument))
                return failure_set(reterr_failure, -EINVAL, "USAGE", "There is no option %s here.", word);

        if (equals)
                value = equals + 1;
        else if (word[1] != '-' && word[2] != 0)
                value = word + 2;
        else if (option->argument && *i + 1 < argc)
                value = argv[++*i];

        if (option->argument && !value)
                return failure_set(reterr_failure, -EINVAL, "USAGE", "--%s needs a value: %s.", option->name,
                                   option->argument);
        if (!option->argument && value)
                return failure_set(reterr_failure, -EINVAL, "USAGE", "--%s takes no value.", option->name);
        return add_given(a, option, value, reterr_failure);
}

static int check_operands(const Arguments *a, Failure *reterr_failure) {
        const Command *c = a->command;
        size_t min, max;

        command_operands(c, &min, &max);
        if (a->n_operands < min)
                return failure_set(reterr_failure, -EINVAL, "USAGE",
                                   "Something is missing: backupx %s%s%s %s", c->noun, c->verb ? " " : "",
                                   strempty(c->verb), strempty(c->operands));
        if (a->n_operands > max)
                return failure_set(reterr_failure, -EINVAL, "USAGE", "'%s' is one word too many.",
                                   a->operands[max]);
        return 0;
}

int arguments_parse(const Command *command, int argc, char **argv, Arguments *ret, Failure *reterr_failure) {
        _cleanup_(arguments_done) Arguments a = { .command = command };
        bool options_end = false;
        int n_operands = 0, r;

        assert(command);
        assert(argv);
        assert(ret);

        a.given = new0(Given, (size_t) argc + 1);
        if (!a.given)
                return -ENOMEM;
        for (int i = 0; i < argc; i++) {
                if (options_end || argv[i][0] != '-' || argv[i][1] == 0) {
                        argv[n_operands++] = argv[i];
                        continue;
                }
                if (streq(argv[i], "--")) {
                        options_end = true;
                        continue;
                }
                r = parse_option(&a, argc, argv, &i, reterr_failure);
                if (r < 0)
                        return r;
        }
        a.operands = (const char *const *) argv;
        a.n_operands = (size_t) n_operands;
        if (!arguments_has(&a, "help")) {
                r = check_operands(&a, reterr_failure);
                if (r < 0)
                        return r;
        }
        *ret = a;
        a = ARGUMENTS_NULL;
        return 0;
}

bool arguments_has(const Arguments *a, const char *name) {
        assert(a);

        for (size_t i = 0; i < a->n_given; i++)
                if (streq(a->given[i].option->name, name))
                        return true;
        return false;
}

const char *arguments_value(const Arguments *a, const char *name) {
        assert(a);

        for (size_t i = a->n_given; i > 0; i--)
                if (streq(a->given[i - 1].option->name, name))
                        return a->given[i - 1].value;
        return NULL;
}

const char *arguments_operand(const Arguments *a, size_t i) {
        assert(a);

        return i < a->n_operands ? a->operands[i] : NULL;
}
