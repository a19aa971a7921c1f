/* SPDX-License-Identifier: Apache-2.0 */

#include <linux/ioprio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/job/weights.h"
#include "sys/log.h"

/* What a weight of systemd is compared to. */
#define WEIGHT_USUAL 100
#define NICE_LAST 19

int weight_to_nice(unsigned weight) {
        /* One step of nice is a quarter of the share; in thousandths, so as to round. */
        unsigned long share = WEIGHT_USUAL * 1000UL, wanted = weight * 1000UL;
        int nice = 0;

        while (nice < NICE_LAST && share * 100 > wanted * 112) {
                share = share * 4 / 5;
                nice++;
        }
        return nice;
}

int weight_to_io_level(unsigned weight) {
        return weight >= WEIGHT_USUAL ? 4 : weight >= 50 ? 5 :
                        weight >= 20                     ? 6 :
                                                           7;
}

void weights_apply(unsigned cpu_weight, unsigned io_weight) {
        int nice = cpu_weight > 0 ? weight_to_nice(cpu_weight) : 0;
        int level = io_weight > 0 ? weight_to_io_level(io_weight) : 4;
        int class_and_level = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, level);

        if (nice > getpriority(PRIO_PROCESS, 0) && setpriority(PRIO_PROCESS, 0, nice) < 0)
                log_debug("The nice value stays as it is: the sandbox has the say");
        if (level > 4 && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, class_and_level) < 0)
                log_debug("The level of input and output stays as it is: the sandbox has the say");
}
