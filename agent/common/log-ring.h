#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The last lines of a job's log, numbered from 1 within the attempt. A batch that is sent twice is
 * recognised by its numbers, and what an overflow dropped shows as a gap in them. */

#include "base/times.h"
#include "wire/json.h"

/* Whichever comes first. A master that cannot be reached for long costs the oldest lines, not memory. */
#define LOG_RING_LINES 2000U
#define LOG_RING_BYTES (1U << 20)

/* "error", "warning", "notice", "info", "debug" for LOG_ERR … LOG_DEBUG. */
DECLARE_STRING_TABLE(log_line_level, int);

typedef struct LogLine {
        uint64_t sequence;
        usec_t time;
        int level; /* LOG_ERR … LOG_DEBUG */
        char *text;
} LogLine;

typedef struct LogRing {
        LogLine *lines; /* of LOG_RING_LINES, the oldest at first */
        size_t first, n;
        size_t bytes;
        uint64_t last; /* the highest number so far */
} LogRing;

#define LOG_RING_NULL ((LogRing){})

void log_ring_done(LogRing *r);

/* Adds a line with the next number. The text is cut to what the master takes, and made UTF-8. */
int log_ring_add(LogRing *r, int level, usec_t time, const char *text) _warn_unused_;
/* Adds a line that has a number already; one that is not above all before is a repeat and ignored. */
int log_ring_put(LogRing *r, uint64_t sequence, int level, usec_t time, const char *text) _warn_unused_;
/* Takes the lines of an array as log_ring_batch() writes it; elements that are no lines are skipped. */
int log_ring_read(LogRing *r, const json_t *lines) _warn_unused_;

/* An array of the lines after the given number, at most max_lines and about max_bytes of them; *ret_last is
 * the number of the last. Gives how many; 0: *ret is not set. */
int log_ring_batch(const LogRing *r, uint64_t after, size_t max_lines, size_t max_bytes, json_t **ret,
                   uint64_t *ret_last) _warn_unused_;
/* All of them that are left: for a file, which has no batches. */
int log_ring_rest(const LogRing *r, uint64_t after, json_t **ret, uint64_t *ret_last) _warn_unused_;
/* Whether one batch of this size holds all lines after the given number. */
bool log_ring_fits(const LogRing *r, uint64_t after, size_t max_lines, size_t max_bytes);
/* Forgets the lines up to and with this number. */
void log_ring_drop(LogRing *r, uint64_t through);
/* Whether there are lines after this number. */
bool log_ring_has_after(const LogRing *r, uint64_t after);
