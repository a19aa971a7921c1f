#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The file "config" of a repository: what it is. The plain JSON, before it is sealed; never compressed. */

#include "base/failure.h"
#include "repository/chunker.h"
#include "repository/id.h"

#define REPO_VERSION_MIN 1
#define REPO_VERSION_MAX 2 /* what we make; adds compression */
#define REPO_CONFIG_SIZE_MAX (64U << 10)

typedef struct RepoConfig {
        uint32_t version;
        Id id; /* random */
        uint64_t chunker_polynomial;
        ChunkerKind chunker; /* CHUNKER_RABIN where nothing is said. Another one gives a correct repository,
                              * but finds nothing of what the first one stored */
} RepoConfig;

/* -EBADMSG with REPOSITORY_CONFIG_INVALID; -EPROTONOSUPPORT with REPOSITORY_UNSUPPORTED: a version or a
 * chunker that we do not know. */
int repo_config_parse(const void *data, size_t n, RepoConfig *ret, Failure *reterr_failure) _warn_unused_;
/* JSON with the fields in restic's order, ours behind them; allocated. */
int repo_config_format(const RepoConfig *c, char **ret, size_t *ret_size) _warn_unused_;
