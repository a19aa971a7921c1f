/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <time.h>

#include "base/times.h"
#include "cli/dropin.h"
#include "cli/master-stopped.h"

/* Above TimeoutStopSec= of the daemons. */
#define STOP_MAX_USEC (30 * USEC_PER_SEC)
#define STOP_POLL_USEC (100 * USEC_PER_MSEC)

/* What is awaited of a target that was stopped is the target: its daemons, and after them their sockets, go
 * down behind it, each in the time that its unit gives it (TimeoutStopSec=20s). */
static int wait_stopped(void) {
        static const char *const sockets[] = { "systemctl",
                                               "is-active",
                                               "--quiet",
                                               "backupx-api.socket",
                                               "backupx-scheduler.socket",
                                               "backupx-dispatcher.socket",
                                               NULL };
        const struct timespec pause = { .tv_nsec = STOP_POLL_USEC * 1000 };
        usec_t end = now_usec(CLOCK_MONOTONIC) + STOP_MAX_USEC;

        while (dropin_run(sockets) == 0) {
                if (now_usec(CLOCK_MONOTONIC) > end)
                        return -EBUSY;
                (void) nanosleep(&pause, NULL);
        }
        return 0;
}

int master_need_stopped(Failure *reterr_failure) {
        static const char *const up[] = { "systemctl", "is-active",
                                          "--quiet", "backupx.target",
                                          "backupx-agent.service", NULL };

        if (!dropin_have_systemd() || (dropin_run(up) != 0 && wait_stopped() >= 0))
                return 0;
        return failure_set(reterr_failure, -EBUSY, "MASTER_RUNS",
                           "The master on this machine is running. Stop it first: systemctl stop "
                           "backupx.target backupx-agent.service");
}
