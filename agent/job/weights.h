#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Weights of a job where no unit gives it some: a child of the agent steps back behind its neighbours. Where
 * systemd starts jobs their slice has the weights, and the sandbox lets nobody change them from within. */

#include "base/macros.h"

/* Pure: the nice value whose share next to one of 0 is nearest to weight next to 100; 0 to 19. */
int weight_to_nice(unsigned weight);
/* Pure: the level of the best-effort class: 4, what everybody has, to 7. */
int weight_to_io_level(unsigned weight);

/* Of this thread and those that it starts. 0: as it is; never a better place than it has. */
void weights_apply(unsigned cpu_weight, unsigned io_weight);
