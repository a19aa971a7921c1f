#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Copies of a repository's small files on this machine, sealed as they are in the storage, so that they
 * need no more protection than there. A copy that is missing or damaged is as good as none; nothing here
 * fails but for lack of memory. */

#include "repository/id.h"

typedef struct RepoCache RepoCache;

/* directory: made when there is something to put into it, together with a folder for this repository. */
int repo_cache_new(const char *directory, const Id *repository, RepoCache **ret) _warn_unused_;
RepoCache *repo_cache_free(RepoCache *c);
/* Allocates. -ENOENT: no copy that is what its name says. */
int repo_cache_get(RepoCache *c, const char *kind, const Id *id, uint8_t **ret, size_t *ret_n) _warn_unused_;
void repo_cache_put(RepoCache *c, const char *kind, const Id *id, const void *p, size_t n);
void repo_cache_remove(RepoCache *c, const char *kind, const Id *id);
/* Removes copies that keep() does not want. */
typedef bool (*RepoCacheKeep)(void *userdata, const Id *id);
void repo_cache_clean(RepoCache *c, const char *kind, RepoCacheKeep keep, void *userdata);

/* Of all repositories in the directory: where their copies take more than limit bytes, those of the
 * repositories that were not used for the longest time are removed until they do not. */
void repo_cache_trim(const char *directory, uint64_t limit);

DEFINE_CLEANUP(RepoCache *, repo_cache_free);
