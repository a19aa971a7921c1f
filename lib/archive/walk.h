#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The walk over the sources: depth first, sorted, by descriptors, each path once; what it finds goes into
 * the tar stream and the listing. What cannot be read is told to the report and left out; errors of this
 * function are those that end the run. */

#include "archive/entries.h"
#include "archive/pipeline.h"
#include "archive/report.h"
#include "archive/sources.h"

/* Names of all directories that are open at a time. */
#define WALK_NAMES_BUDGET (24U << 20)
#define WALK_NAMES_MIN (256U << 10)
/* Directories kept open; those above are opened again by "..". */
#define WALK_OPEN_MAX 128
/* Followed links in one path: more is a maze, not a tree. */
#define WALK_LINKS_MAX 40

int walk_run(const BackupArgs *args, const Sources *sources, Pipeline *pipeline, EntriesWriter *entries,
             Report *report) _warn_unused_;
