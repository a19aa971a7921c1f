#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Numbers for people. */

#include "base/macros.h"
#include "base/times.h"

#define HUMAN_MAX 32

/* "1.5 GiB"; gives buf. */
char *human_size(char buf[static HUMAN_MAX], uint64_t bytes);
/* "3 h 02 min", "12.4 s"; gives buf. */
char *human_span(char buf[static HUMAN_MAX], usec_t span);
/* "2026-11-22 23:15:01" in the zone of this terminal, from RFC 3339; text itself when it is not of that
 * form. */
const char *human_time(char buf[static HUMAN_MAX], const char *text);
