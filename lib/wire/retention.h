#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Which snapshots of a task are kept: the newest ones, one of each of the last hours, days, weeks, months
 * and years that have one, and all that are younger than a span. As tasks and commands have it; what the
 * rules mean is in repository/forget.h. */

#include "wire/json.h"

#define RETENTION_NUMBER_MAX 100000
#define RETENTION_SPAN_MAX 31

typedef struct Retention {
        uint32_t last, hourly, daily, weekly, monthly, yearly; /* 0: no such rule */
        char within[RETENTION_SPAN_MAX + 1];                   /* "2y5m7d3h"; "": no such rule */
} Retention;

#define RETENTION_NULL ((Retention){})

/* Whether it has no rule. Such a one would keep everything. */
bool retention_is_empty(const Retention *r);
/* The object in this field, which has to have a rule. 1: it was there; 0: absent or null. The error sticks
 * in reader. */
int retention_read(JsonReader *reader, const char *key, Retention *ret);
/* Rules alone. */
int retention_build(const Retention *r, json_t **ret) _warn_unused_;
