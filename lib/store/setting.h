#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Small switches that outlive a daemon, by name ("scheduler.paused"). Each name belongs to the daemon in
 * front of the dot, which is the only one to write it: -EPERM otherwise ("api.", "scheduler.",
 * "dispatcher."). */

#include "store/store.h"

/* Public keys of age, one a line, whose private ones are kept offline: sealed archives and the passwords of
 * repositories are sealed for them, too. */
#define SETTING_OFFLINE_KEYS "api.offline_keys"
#define OFFLINE_KEYS_MAX 8U

/* value NULL removes it. */
int setting_set(Store *s, const char *name, const char *value) _warn_unused_;
/* STORE_E_NOT_FOUND. */
int setting_get(Store *s, const char *name, char **ret) _warn_unused_;
