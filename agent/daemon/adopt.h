#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What an agent before us left behind, taken up again at the start: lines to jobs in the fd store of the
 * service manager, and notes and results in the folder of results. */

#include "agent/daemon/agent.h"

/* Lines come first: the file of a work whose line is there belongs to it. Logs what it cannot take up. */
int adopt_all(Agent *a) _warn_unused_;
