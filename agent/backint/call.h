#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One call of Backint: its files, its storage, its log, the signals that end it. */

#include "agent/backint/options.h"

/* The exit status. */
int backint_call(const BackintOptions *options);
