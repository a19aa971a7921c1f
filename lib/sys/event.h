#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What every event loop of the suite needs. */

#include <systemd/sd-event.h>

#include "base/times.h"

#define _cleanup_event_ _cleanup_(sd_event_unrefp)
#define _cleanup_source_ _cleanup_(sd_event_source_disable_unrefp)

/* A loop that feeds the watchdog of the service manager where one is asked for and that ends with status 0
 * on SIGTERM and SIGINT. Ignores SIGPIPE: a vanished peer is an error of a call, not of the program. */
int event_new(sd_event **ret) _warn_unused_;
/* The same, but SIGTERM and SIGINT are only blocked: for programs that add sources of their own for them. */
int event_new_bare(sd_event **ret) _warn_unused_;

/* A timer that fires once after delay (CLOCK_MONOTONIC, to the microsecond: the default accuracy of sd-event
 * is 250 ms); USEC_INFINITY: it is made, and switched off. ret may be NULL: the source then lives as long as
 * the loop. */
int event_add_timer(sd_event *event, sd_event_source **ret, usec_t delay, sd_event_time_handler_t handler,
                    void *userdata) _warn_unused_;

/* Makes a timer of event_add_timer() fire once more, delay from now; USEC_INFINITY switches it off. */
int event_rearm(sd_event_source *timer, usec_t delay) _warn_unused_;

/* Runs handler from the loop as soon as nothing of normal priority is ready. */
int event_add_idle(sd_event *event, sd_event_source **ret, sd_event_handler_t handler, void *userdata)
                _warn_unused_;
