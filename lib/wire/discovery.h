#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What discover_databases is told, from the client's body to the job's spec: {"sqlite":[GLOB,…]}, or with
 * "server":{"type":"mysql","host":…,"user":…} which one is asked for the databases in it. Its password is a
 * secret, and elsewhere. */

#include "wire/database.h"

/* Each glob is one walk. */
#define DISCOVERY_GLOBS_MAX 16U
#define DISCOVERY_GLOB_MAX 1024U
/* A walk keeps one directory open for each. */
#define DISCOVERY_PARTS_MAX 16U

typedef struct DiscoverySpec {
        char **sqlite;   /* absolute paths with wildcards in their parts, where databases of SQLite may be */
        SourceType type; /* of the server; SOURCE_FILE: none is asked */
        DatabaseServer server;
} DiscoverySpec;

#define DISCOVERY_SPEC_NULL ((DiscoverySpec){})
void discovery_spec_done(DiscoverySpec *s);
/* Globs that are not named are the usual places; an empty list is none. What the server does not know is
 * refused whoever finishes the reader: a rule that is passed over may be one about TLS. The errors stick to
 * the reader; -ENOMEM is given, too. */
int discovery_spec_read(JsonReader *r, DiscoverySpec *ret) _warn_unused_;
int discovery_spec_build(const DiscoverySpec *s, json_t **ret) _warn_unused_;
