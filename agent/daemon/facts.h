#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What this host is, as heartbeats and enrolment tell it. */

#include "wire/json.h"

/* Sets version, hostname, os, arch, addresses, free_bytes (of temp_dir) and tools. */
int facts_put(json_t *body, const char *temp_dir) _warn_unused_;
/* Version, hostname, os and arch alone. */
int facts_put_host(json_t *body) _warn_unused_;
