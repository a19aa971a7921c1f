#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

#include "base/failure.h"
#include "base/macros.h"

/* That neither the master nor its agent runs on this machine, nor would start: a socket that listens starts
 * its daemon at the first agent that calls, and an agent goes on as whom it was. Waits, 30 seconds at most,
 * for daemons that are going down. -EBUSY with a sentence when they run; 0 where systemd does not. */
int master_need_stopped(Failure *reterr_failure) _warn_unused_;
