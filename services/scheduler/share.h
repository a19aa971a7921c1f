#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Which share of the data a check reads: a function of its arguments. */

#include "base/macros.h"

/* The request of the next check: {"share":2,"shares":7}, or {} where nothing of the data is read. before:
 * that of the check before; NULL, or what does not say: the first one. */
int share_next(const char *before, uint32_t shares, char **ret) _warn_unused_;
