#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Whether a command can and may be done here at all, before it is accepted. The job checks the same again
 * with its own eyes. */

#include "wire/command.h"

int work_check(CommandKind kind, const json_t *spec, const char *policy_path, Failure *reterr_failure)
                _warn_unused_;
