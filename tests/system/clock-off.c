/* SPDX-License-Identifier: Apache-2.0 */

/* Preloaded into a program: its time of day is BACKUPX_TEST_CLOCK seconds ahead. Only what programs ask the
 * C library for; clocks that just run are left alone. (libfaketime does more, and ends in our sandboxes.) */

#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static time_t offset(void) {
        const char *text = getenv("BACKUPX_TEST_CLOCK");

        return text ? (time_t) strtol(text, NULL, 10) : 0;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ts) {
        int r = (int) syscall(SYS_clock_gettime, clock, ts);

        if (r >= 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                ts->tv_sec += offset();
        return r;
}

EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
        struct timespec ts;

        if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
                return -1;
        *tv = (struct timeval){ .tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000 };
        return 0;
}

EXPORT time_t time(time_t *ret) {
        struct timespec ts;

        if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
                return -1;
        if (ret)
                *ret = ts.tv_sec;
        return ts.tv_sec;
}
