#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a restore looks at before it touches the destination. Each sets the run's failure. */

#include "archive/restore-run.h"

/* Finds the chosen paths in the archive, or takes everything. */
int restore_check_selections(RestoreRun *r) _warn_unused_;
/* Opens the places, and asks whether they may be written. */
int restore_check_places(RestoreRun *r) _warn_unused_;
/* Whether what is chosen fits. */
int restore_check_space(RestoreRun *r) _warn_unused_;
/* With conflict fail: that nothing is in the way. */
int restore_check_conflicts(RestoreRun *r) _warn_unused_;
