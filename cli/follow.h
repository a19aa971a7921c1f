#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Following a run to its end: a progress bar on a terminal, its log, its exit status. */

#include "cli/api.h"

/* Waits for the end of a run; shows a bar on standard error when that is a terminal. The exit status:
 * EXIT_DONE, EXIT_RUN_FAILED, EXIT_RUN_PARTIAL; a negative errno when the server cannot be asked. */
int follow_run(Cli *c, uint64_t run) _warn_unused_;

/* Prints the log of a run; with follow on until its end. The same results; EXIT_DONE without follow. */
int follow_logs(Cli *c, uint64_t run, bool follow) _warn_unused_;

/* One line of progress that fits into columns; for tests too. */
int follow_bar(const json_t *run, size_t columns, char **ret) _warn_unused_;
