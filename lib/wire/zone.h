#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Time zones, read from the system's database in the TZif format (RFC 8536, versions 1 to 4) with the rule
 * in the footer for the years behind the table. Our own reader, since the C library knows one zone per
 * process, in the environment: two tasks in two zones would have to change it under each other's feet. All
 * but zone_open() is pure. */

#include "base/failure.h"
#include "base/macros.h"

#define ZONE_NAME_MAX 63

typedef struct Zone Zone;

/* Opens a zone by its name, "Europe/Berlin"; "UTC" works on machines without a database. Names cannot
 * leave the database's directory. NULL or "": the zone of this machine, or UTC when it has none. -EINVAL
 * with the failure TIMEZONE_INVALID. */
int zone_open(const char *name, Zone **ret, Failure *reterr_failure) _warn_unused_;

/* The same from a database elsewhere. */
int zone_open_at(const char *directory, const char *name, Zone **ret, Failure *reterr_failure) _warn_unused_;

/* Reads a TZif file. -EBADMSG: not one, or one with values that no clock has, or with leap seconds. */
int zone_parse(const void *data, size_t n, Zone **ret) _warn_unused_;

Zone *zone_free(Zone *z);

DEFINE_CLEANUP(Zone *, zone_free);

/* Whether this could be the name of a zone. */
bool zone_name_is_valid(const char *name);

/* A stretch of time with one offset: seconds since the epoch, start included, end not. */
typedef struct ZoneSegment {
        int64_t start;  /* INT64_MIN: always was */
        int64_t end;    /* INT64_MAX: for ever */
        int32_t offset; /* what is added to UTC, in seconds; under 27 hours either way */
} ZoneSegment;

/* The stretch that holds t. Neighbours may have the same offset. */
ZoneSegment zone_segment(const Zone *z, int64_t t);
