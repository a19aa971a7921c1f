/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <signal.h>

#include "sys/event.h"

#define TIMER_ACCURACY_USEC 1

static int block_signals(void) {
        sigset_t set;

        if (sigemptyset(&set) < 0 || sigaddset(&set, SIGTERM) < 0 || sigaddset(&set, SIGINT) < 0)
                return -errno;
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        return 0;
}

int event_new_bare(sd_event **ret) {
        _cleanup_event_ sd_event *event = NULL;
        int r;

        assert(ret);

        r = sd_event_new(&event);
        if (r < 0)
                return r;
        r = block_signals();
        if (r < 0)
                return r;
        r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(event);
        return 0;
}

int event_new(sd_event **ret) {
        _cleanup_event_ sd_event *event = NULL;
        int r;

        assert(ret);

        r = event_new_bare(&event);
        if (r < 0)
                return r;
        /* Without a handler a signal ends the loop with status 0. */
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r < 0)
                return r;
        r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(event);
        return 0;
}

int event_add_timer(sd_event *event, sd_event_source **ret, usec_t delay, sd_event_time_handler_t handler,
                    void *userdata) {
        int r;

        assert(event);
        assert(handler);
        assert(ret || delay != USEC_INFINITY);

        r = sd_event_add_time_relative(event, ret, CLOCK_MONOTONIC, delay == USEC_INFINITY ? 0 : delay,
                                       TIMER_ACCURACY_USEC, handler, userdata);
        if (r < 0 || delay != USEC_INFINITY)
                return r;
        return sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int event_rearm(sd_event_source *timer, usec_t delay) {
        int r;

        assert(timer);

        if (delay == USEC_INFINITY)
                return sd_event_source_set_enabled(timer, SD_EVENT_OFF);
        r = sd_event_source_set_time_relative(timer, delay);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

int event_add_idle(sd_event *event, sd_event_source **ret, sd_event_handler_t handler, void *userdata) {
        _cleanup_source_ sd_event_source *source = NULL;
        int r;

        assert(event);
        assert(handler);

        r = sd_event_add_defer(event, &source, handler, userdata);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;
        if (ret)
                *ret = TAKE_PTR(source);
        else {
                r = sd_event_source_set_floating(source, true);
                if (r < 0)
                        return r;
                source = sd_event_source_unref(source);
        }
        return 0;
}
