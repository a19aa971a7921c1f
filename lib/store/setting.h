#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Small switches that outlive a daemon, by name ("scheduler.paused"). Each name belongs to the daemon in
 * front of the dot, which is the only one to write it: -EPERM otherwise ("api.", "scheduler.",
 * "dispatcher."). */

#include "store/store.h"

/* value NULL removes it. */
int setting_set(Store *s, const char *name, const char *value) _warn_unused_;
/* STORE_E_NOT_FOUND. */
int setting_get(Store *s, const char *name, char **ret) _warn_unused_;
