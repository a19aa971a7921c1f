#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Points in time and spans in microseconds. Wall-clock points count from the epoch in UTC. */

#include <time.h>

#include "base/macros.h"

typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)

usec_t now_usec(clockid_t clock);

/* Sum and difference that stop at infinity and at 0. */
usec_t usec_add(usec_t a, usec_t b);
usec_t usec_sub(usec_t a, usec_t b);

/* "2026-11-22T22:15:01.123Z", room for it. */
#define RFC3339_MAX STRLEN("2026-11-22T22:15:01.123456Z+")
/* Writes UTC with milliseconds. Gives buf. */
char *format_rfc3339(char buf[static RFC3339_MAX], usec_t t);
/* Takes RFC 3339 with Z or an offset and up to six digits of a second. */
int parse_rfc3339(const char *s, usec_t *ret) _warn_unused_;
