#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The commands of backupx and their options, as one constant table. Parsing, help, completion and the man
 * page are made from it. */

#include "base/failure.h"
#include "base/macros.h"

/* Exit statuses, as the man page documents them. */
enum {
        EXIT_DONE = 0,
        EXIT_ERROR = 1,       /* anything not named below */
        EXIT_USAGE = 2,       /* the command line is wrong */
        EXIT_UNREACHABLE = 3, /* no answer from the server */
        EXIT_DENIED = 4,      /* not logged in, or not allowed */
        EXIT_NOT_FOUND = 5,
        EXIT_CONFLICT = 6,
        EXIT_RUN_FAILED = 7,  /* with --wait: the run did not succeed */
        EXIT_RUN_PARTIAL = 8, /* with --wait: something is missing in the backup or restore */
};

typedef enum OptionKind {
        OPTION_SWITCH,  /* no value; its field becomes true */
        OPTION_NEGATED, /* no value; its field becomes false */
        OPTION_CLEARED, /* no value; its field becomes null */
        OPTION_EMPTIED, /* no value; its field becomes an object of nothing */
        OPTION_STRING,
        OPTION_NUMBER,
        OPTION_LIST,  /* may be given several times */
        OPTION_PATHS, /* the same, of file names: any bytes */
        OPTION_PATH,  /* one file name */
        OPTION_NODE,  /* name or number of a node */
        OPTION_TARGETS /* names or numbers of targets, may be given several times */,
        OPTION_PAIRS,   /* KEY=VALUE, several times */
        OPTION_SECRETS, /* KEY=FILE, several times: the value is what the file holds */
} OptionKind;

typedef struct Option {
        char letter; /* 0: none */
        const char *name;
        OptionKind kind;
        const char *argument; /* what help calls the value; NULL: it takes none */
        const char *field;    /* of the request's body, dotted; NULL: the command reads it itself */
        const char *choices;  /* "a|b|c", checked; NULL: anything */
        const char *help;
} Option;

#define OPTIONS_MAX 80

struct Cli;
struct Arguments;

typedef struct Command {
        const char *noun;
        const char *verb;       /* NULL: the noun stands alone */
        const char *operands;   /* "TASK", "[RUN]", "DIR…": what follows; NULL: nothing */
        const char *completion; /* what completes the first operand: a noun, or "directory"; NULL */
        const Option *options;
        size_t n_options;
        int (*run)(struct Cli *c, const struct Arguments *a);
        const char *summary;
        const char *description; /* for the man page; may be NULL */
} Command;

/* All commands, in the order in which help shows them. */
const Command *command_table(size_t *ret_n);
/* Options that every command takes. */
const Option *command_global_options(size_t *ret_n);

/* The command that argv names, NULL when there is none; *ret_used is the number of words it took. */
const Command *command_find(char *const *argv, int argc, int *ret_used);

/* How many operands a command needs at least and takes at most. */
void command_operands(const Command *c, size_t *ret_min, size_t *ret_max);

/* --- What was given on the command line ------------------------------------------------------------- */

typedef struct Given {
        const Option *option;
        const char *value; /* NULL for switches */
} Given;

typedef struct Arguments {
        const Command *command;
        Given *given;
        size_t n_given;
        const char *const *operands;
        size_t n_operands;
} Arguments;

#define ARGUMENTS_NULL ((Arguments){})
void arguments_done(Arguments *a);

/* Options may stand anywhere; "--" ends them. Values are borrowed from argv, whose operands are moved
 * together. -EINVAL with a sentence. */
int arguments_parse(const Command *command, int argc, char **argv, Arguments *ret, Failure *reterr_failure)
                _warn_unused_;

bool arguments_has(const Arguments *a, const char *name);
/* The value of an option, the last one where it was given several times; NULL: not given. */
const char *arguments_value(const Arguments *a, const char *name);
/* Operand i, or NULL. */
const char *arguments_operand(const Arguments *a, size_t i);
