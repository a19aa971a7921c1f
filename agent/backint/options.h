#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The command line of Backint, as SAP HANA calls it. */

#include "backint/request.h"

typedef struct BackintOptions {
        BackintFunction function;
        const char *user;       /* -u */
        const char *input;      /* -i; NULL: standard input */
        const char *output;     /* -o; NULL: standard output */
        const char *parameters; /* -p */
        const char *level;      /* -l; may be NULL */
        uint64_t count;         /* -c: objects of the whole backup; 0: not said */
} BackintOptions;

enum {
        BACKINT_EXIT_DONE = 0,   /* every request was answered with what it asked for, or with #NOTFOUND */
        BACKINT_EXIT_ERRORS = 1, /* some were answered with #ERROR */
        BACKINT_EXIT_FAILED = 2, /* nothing was done: the command line, a file, the storage's settings */
};

/* 1: go on with *ret; else *ret_exit, and what is to be told was told. */
int backint_options_parse(int argc, char *argv[], BackintOptions *ret, int *ret_exit);
