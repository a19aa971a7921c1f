#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a task backs up, by type, and the sources that are databases: one codec from the client's body over
 * the task's row to the job's spec. */

#include <errno.h>

#include "wire/json.h"

typedef enum SourceType {
        SOURCE_FILE,
        SOURCE_SQLITE,
        _SOURCE_TYPE_MAX,
        _SOURCE_TYPE_INVALID = -EINVAL,
} SourceType;

/* "file", "sqlite". */
DECLARE_STRING_TABLE(source_type, SourceType);

#define DATABASE_PATTERNS_MAX 256U
#define DATABASE_PATTERN_MAX 4096U

/* sqlite: {"paths":["/var/lib/app/app.db","/srv/app-?.sqlite"]} */
typedef struct DatabaseSource {
        char **paths; /* absolute; a wildcard stays within one name */
} DatabaseSource;

#define DATABASE_SOURCE_NULL ((DatabaseSource){})
void database_source_done(DatabaseSource *s);
/* Reads the fields of one that is no SOURCE_FILE; the caller finishes the reader, strictly or not. What is
 * wrong sticks to it. */
int database_source_read(JsonReader *r, SourceType type, DatabaseSource *ret);
int database_source_build(const DatabaseSource *s, SourceType type, json_t **ret) _warn_unused_;
