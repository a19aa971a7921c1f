#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Another program as a child: what every one of them gets between fork() and execve(), and what is chosen.
 *
 * Each has a session, so a process group, of its own and no terminal; no blocked signals; SIGPIPE as
 * programs expect it; and no descriptor but those that it is given. */

#include <sys/types.h>

#include "base/macros.h"

#define EXEC_FDS_MAX 4

typedef enum ExecFlags {
        /* No capabilities of ours, and nothing that it executes gains any. */
        EXEC_NO_PRIVILEGES = 1 << 0,
        /* SIGKILL when the thread that started it ends. */
        EXEC_DIES_WITH_US = 1 << 1,
        /* Its writing to files fails; pipes are none. */
        EXEC_WRITES_NO_FILES = 1 << 2,
        /* No core of it is kept: it would hold the secrets that it was given. */
        EXEC_NO_CORE = 1 << 3,
        /* Begins in "/" with a umask of 022, whatever ours is. */
        EXEC_AT_ROOT = 1 << 4,
        /* It outlives us, and is nobody's zombie. */
        EXEC_DETACHED = 1 << 5,
} ExecFlags;

typedef struct ExecArgs {
        const char *path; /* of the program; PATH is not searched */
        char *const *argv;
        char *const *environment;
        /* What it has as 0, 1, 2 and 3; may be the same one twice. Negative: /dev/null, and no 3. All of
         * ours stay open here. */
        int fds[EXEC_FDS_MAX];
        ExecFlags flags;
} ExecArgs;

/* Gives when the program is in place: 0, or what execve() or anything before it failed with (-ENOENT,
 * -EACCES, -ENOMEM, …), and then there is no child. ret_pid: the caller's to wait for; may be NULL with
 * EXEC_DETACHED, which gives none. */
int exec_start(const ExecArgs *args, pid_t *ret_pid) _warn_unused_;
