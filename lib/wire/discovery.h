#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What discover_databases is told: {"sqlite":[GLOB,…]}, from the client's body to the job's spec. */

#include "wire/json.h"

/* Each glob is one walk. */
#define DISCOVERY_GLOBS_MAX 16U
#define DISCOVERY_GLOB_MAX 1024U
/* A walk keeps one directory open for each. */
#define DISCOVERY_PARTS_MAX 16U

typedef struct DiscoverySpec {
        char **sqlite; /* absolute paths with wildcards in their parts, where databases of SQLite may be */
} DiscoverySpec;

#define DISCOVERY_SPEC_NULL ((DiscoverySpec){})
void discovery_spec_done(DiscoverySpec *s);
/* Globs that are not named are the usual places; an empty list is none. The errors stick to the reader;
 * -ENOMEM is given, too. */
int discovery_spec_read(JsonReader *r, DiscoverySpec *ret) _warn_unused_;
int discovery_spec_build(const DiscoverySpec *s, json_t **ret) _warn_unused_;
