#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The token that this agent was given, from wherever it was given. */

#include "agent/daemon/options.h"

/* From the options (the token itself, or a file), else the credential of the unit; read anew each time.
 * Gives 0 with *ret NULL where there is none; a file that is named and not there counts as none, too: it may
 * be written any moment. *ret is for erase_and_freep(). */
int credential_given(const AgentOptions *options, char **ret, Failure *reterr_failure) _warn_unused_;
