#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/recovery: lines of a kit. The first error sticks. */

#include "recovery/kit.h"
#include "wire/json.h"

typedef struct KitTarget {
        const RecoveryTarget *row;
        json_t *config;  /* NULL: not to be read */
        json_t *secrets; /* NULL: none, or not to be opened */
} KitTarget;

typedef struct Kit {
        const KitInfo *info;
        Buffer *out;
        KitTarget *targets; /* as many as rows */
        size_t n_unreadable;
        int error;
} Kit;

/* A line of text; it must not begin with a blank. */
void kit_say(Kit *k, const char *format, ...) _printf_(2, 3);
/* A command. */
void kit_run(Kit *k, const char *format, ...) _printf_(2, 3);
/* export NAME='value'; nothing for NULL or an empty value. */
void kit_export(Kit *k, const char *name, const char *value);
/* A text file of lines, made by the shell's own printf. */
void kit_file(Kit *k, const char *name, const char *content);

/* One word of sh, whatever is in it. NULL: out of memory, which sticks; for erase_and_freep(). */
char *kit_quote(Kit *k, const char *s);
/* A name within a line of text: control characters would break the line. For freep(). */
char *kit_name(Kit *k, const char *s);
