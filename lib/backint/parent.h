#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Whether the process that made a call is still there. The end of a pipe does not say whether its writer
 * was through or was killed; but a killed one has begun to end before its files are closed, and that can be
 * seen. */

#include <sys/types.h>

#include "base/macros.h"

/* Of the text of /proc/PID/stat. Pure. */
bool backint_stat_is_ending(const char *stat);
/* parent: what getppid() gave at first. True also where this cannot be seen: nothing is known against it. */
bool backint_parent_lives(pid_t parent);
