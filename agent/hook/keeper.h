#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Runs the hooks of one backup: the pre hooks, then, when the job says that it is done or its line ends, the
 * post hooks. From before the first pre hook to behind the last post hook a note in the state directory with
 * a lock that its keeper holds, says what is still to be run: what a killed keeper or a crashed host left is
 * made up for by the next one. A post hook that was cut off by that is run again, from its begin. */

#include "base/macros.h"

typedef struct KeeperArgs {
        int line;    /* to the job; taken over */
        int signals; /* a signalfd: readable when this process is to end; weak */
        const char *policy_path;
        const char *folder; /* hooks.d */
        const char *state_dir;
        const char *path; /* the PATH of hooks */
} KeeperArgs;

/* Does what the job asks for; 0 also where hooks failed, which the job is told. */
int keeper_serve(const KeeperArgs *args) _warn_unused_;
/* Runs what is left by keepers that are gone. */
int keeper_leftovers(const KeeperArgs *args) _warn_unused_;
