/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/daemon/apply-limits.h"
#include "agent/daemon/limits.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/log.h"

#define STATE_DIR_DEFAULT "/var/lib/backupx-agent"
/* "CPUWeight=10000" */
#define SETTING_MAX 32

static void format_weight(const char *name, uint32_t weight, char ret[static SETTING_MAX]) {
        (void) snprintf(ret, SETTING_MAX, "%s=%" PRIu32, name, weight > 0 ? weight : LIMITS_WEIGHT_DEFAULT);
}

int apply_limits(void) {
        const char *state = getenv("BACKUPX_AGENT_STATE_DIR");
        char cpu[SETTING_MAX], io[SETTING_MAX];
        _cleanup_close_ int fd = -EBADF;
        AgentLimits limits;

        state = isempty(state) ? STATE_DIR_DEFAULT : state;
        fd = open(state, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return log_error_errno(errno, "Cannot read %s: %m", state);
        agent_limits_load(fd, &limits);
        format_weight("CPUWeight", limits.cpu_weight, cpu);
        format_weight("IOWeight", limits.io_weight, io);
        log_info("Jobs of the agent get %s %s in %s", cpu, io, LIMITS_SLICE);
        (void) execlp("systemctl", "systemctl", "set-property", "--runtime", LIMITS_SLICE, cpu, io,
                      (char *) NULL);
        return log_error_errno(errno, "Cannot start systemctl: %m");
}
