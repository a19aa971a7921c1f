/* SPDX-License-Identifier: Apache-2.0 */

/* Clocks that a test may set, without setting the machine's: preloaded into a daemon, it adds what stands in
 * the file BACKUPX_TEST_CLOCK (seconds, with a sign) to CLOCK_REALTIME, and what stands in
 * BACKUPX_TEST_MONOTONIC to the clocks that never go back. What timers of a clock are set to is moved back
 * by as much; one that was set before a clock was moved on fires as it was set. */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static time_t read_offset(clockid_t clock) {
        const char *path = getenv(clock == CLOCK_REALTIME ? "BACKUPX_TEST_CLOCK" : "BACKUPX_TEST_MONOTONIC");
        char text[32] = "";
        int fd;

        fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0)
                return 0;
        if (read(fd, text, sizeof(text) - 1) < 0)
                text[0] = 0;
        (void) close(fd);
        return (time_t) strtoll(text, NULL, 10);
}

static int clock_is_moved(clockid_t clock) {
        return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
}

/* The clock of a timer; -1: not known. */
static clockid_t timer_clock(int fd) {
        char path[64], text[256] = "", *found;
        ssize_t n;
        int info;

        (void) snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        info = open(path, O_RDONLY | O_CLOEXEC);
        if (info < 0)
                return -1;
        n = read(info, text, sizeof(text) - 1);
        (void) close(info);
        found = n > 0 ? strstr(text, "clockid: ") : NULL;
        return found ? (clockid_t) strtol(found + strlen("clockid: "), NULL, 10) : -1;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret) {
        long r = syscall(SYS_clock_gettime, clock, ret);

        if (r == 0 && clock_is_moved(clock))
                ret->tv_sec += read_offset(clock);
        return (int) r;
}

__attribute__((visibility("default"))) int timerfd_settime(int fd, int flags, const struct itimerspec *value,
                                                           struct itimerspec *ret) {
        struct itimerspec moved = *value;
        clockid_t clock = flags & TFD_TIMER_ABSTIME && moved.it_value.tv_sec > 0 ? timer_clock(fd) : -1;

        if (clock_is_moved(clock)) {
                time_t offset = read_offset(clock), at = moved.it_value.tv_sec;

                /* "Never" stays never, and what has passed fires at once. */
                if (at < INT32_MAX * (time_t) 1000)
                        moved.it_value.tv_sec = at > offset ? at - offset : 1;
        }
        return (int) syscall(SYS_timerfd_settime, fd, flags, &moved, ret);
}
