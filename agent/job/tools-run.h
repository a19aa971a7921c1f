#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Asks the tools of this host for their versions: all at once, each with little time, no environment and no
 * right that it does not need. */

#include <stdatomic.h>

#include "wire/json.h"

/* *ret: {"pg_dump":"15.6",…}, "?" for one that does not say; *ret_silent is how many of them. */
int tools_ask(const char *directories, const atomic_bool *cancelled, json_t **ret,
              unsigned *ret_silent) _warn_unused_;
