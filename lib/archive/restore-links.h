#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What has been restored, so that a hard link joins only what this run itself put there. Memory is eight to
 * sixteen bytes an object, up to a limit; a hard link to what is not known here becomes a copy. */

#include "base/macros.h"

typedef struct RestoreLinks RestoreLinks;

int restore_links_new(RestoreLinks **ret) _warn_unused_;
RestoreLinks *restore_links_free(RestoreLinks *l);
/* The object of the archive at path was restored there. */
int restore_links_add(RestoreLinks *l, const char *path) _warn_unused_;
/* The content of first, which was not restored itself, is at path. */
int restore_links_add_alias(RestoreLinks *l, const char *first, const char *path) _warn_unused_;
/* Where the object is that the archive has at path; NULL: not restored by this run. */
const char *restore_links_find(const RestoreLinks *l, const char *path);

DEFINE_CLEANUP(RestoreLinks *, restore_links_free);
