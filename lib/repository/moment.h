#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Points in time as repositories write them: RFC 3339 with up to nine digits of a second and an offset from
 * UTC, years 0 to 9999. */

#include <time.h>

#include "base/macros.h"

typedef struct Moment {
        int64_t sec; /* since the epoch, UTC */
        uint32_t nsec;
        int32_t offset; /* seconds east of UTC, of the clock that wrote it; whole minutes */
} Moment;

#define MOMENT_TEXT_MAX STRLEN("2026-11-22T22:15:01.123456789+01:00+")

/* -EINVAL: not of the form. */
int moment_parse(const char *s, size_t n, Moment *ret) _warn_unused_;
/* No trailing zeros of the second's fraction, "Z" for no offset. A year outside of what can be written
 * becomes the nearest one that can. Gives buf. */
char *moment_format(const Moment *m, char buf[static MOMENT_TEXT_MAX]);
/* CLOCK_REALTIME, with the offset of UTC. */
Moment moment_now(void);
