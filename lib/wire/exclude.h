#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Excludes with the meaning of gitignore(5): the last pattern that matches decides; '!' takes back; a '/'
 * at the end is for directories; a '/' elsewhere anchors the pattern; '*', '?' and classes stay within a
 * name, '**' between slashes spans names; '\' takes the meaning from a character; '#' starts a comment.
 * What is below an excluded directory cannot be taken back, since nobody looks there.
 *
 * Anchored means: at the top of each source, as if the patterns stood in a .gitignore there. A pattern that
 * begins with the path of a source and '/' means that absolute path instead.
 *
 * Names are bytes. Time is bounded: the product of the lengths of pattern and path. */

#include "base/failure.h"
#include "base/macros.h"

#define EXCLUDES_MAX 4096
#define EXCLUDE_LENGTH_MAX 4096

typedef struct Excludes Excludes;

/* Whether one pattern can match something. -EINVAL where it cannot: an open or empty class, a '\' at the end
 * of a name, '.' or '..' as a name, nothing but slashes. Such a pattern would silently save what was to be
 * left out. *ret_reason says what is wrong with it, for the end of a sentence. Comments are fine. */
int exclude_check(const char *pattern, const char **ret_reason) _warn_unused_;

/* Patterns and sources are NULL-terminated. -E2BIG: too many or too long. A pattern that cannot match
 * anything is -EINVAL with a message; one without a name ("/"), which older tasks may have, is passed
 * over. */
int excludes_new(char *const *patterns, char *const *sources, Excludes **ret,
                 Failure *reterr_failure) _warn_unused_;
Excludes *excludes_free(Excludes *e);

/* Whether path, relative to the source of that number and not empty, is left out. */
bool excludes_match(const Excludes *e, size_t source, const char *path, bool is_directory);

DEFINE_CLEANUP(Excludes *, excludes_free);
