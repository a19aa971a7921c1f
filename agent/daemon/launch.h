#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* How a job comes to life: through a socket of systemd, which starts one sandboxed instance for each
 * connection, or, where there is no such socket, as a child over a socket pair. */

#include <sys/types.h>

#include "agent/daemon/options.h"
#include "wire/command.h"

/* "backup", "restore" or "probe": which sandbox a kind needs. */
const char *launch_unit(CommandKind kind);
/* Whether a kind answers somebody who waits, and has its own places. */
bool launch_is_probe(CommandKind kind);

/* Gives a line to a new job. *ret_pid and *ret_pidfd are of the child, 0 and negative where systemd starts
 * it. The job lives once it says hello. */
int launch_job(const AgentOptions *options, CommandKind kind, int *ret_fd, pid_t *ret_pid, int *ret_pidfd,
               Failure *reterr_failure) _warn_unused_;

/* --- Hooks ------------------------------------------------------------------------------------------- */

/* Has the post hooks run whose keepers were killed, or went down with the host. */
int launch_leftovers(const AgentOptions *options);

/* --- The fd store of the service manager ------------------------------------------------------------- */

/* Keeps fd under this name over a restart of the agent; without a service manager nothing happens. */
void fd_store_add(int fd, const char *name);
void fd_store_remove(const char *name);
