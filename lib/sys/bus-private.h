#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Shared inside of lib/sys. */

#include "sys/bus.h"

/* Exports org.freedesktop.LogControl1: systemctl service-log-level speaks it. */
int bus_add_log_control(sd_bus *bus) _warn_unused_;

/* A random delay for reconnecting needs no secrecy. */
uint32_t bus_random(void);
