#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What programs have in common that run a backup or a restore for tests: log lines go to stderr, the result
 * as JSON to stdout. */

#include <stdatomic.h>

#include "archive/outcome.h"
#include "base/failure.h"
#include "wire/json.h"

/* When the work is to be cancelled. */
typedef struct ToolCancel {
        atomic_bool flag;
        uint64_t after; /* milliseconds since the start; 0: never */
} ToolCancel;

/* c lives as long as the program. */
void tool_cancel_start(ToolCancel *c);

/* Says what failed and ends the program. */
_noreturn_ void tool_die(const char *what, const Failure *f, int r);
void tool_log(void *userdata, ArchiveLogLevel level, const char *text);
/* Takes json; NULL ends the program. */
void tool_print(json_t *json);
/* 0 succeeded, 3 partial, 4 failed, 5 cancelled. */
int tool_status(ArchiveState state);
