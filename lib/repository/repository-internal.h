#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The handle of a repository, for its own files. */

#include <pthread.h>

#include "repository/cache.h"
#include "repository/repository.h"

/* What is compressed as a file of its own is small: a good level costs nothing. */
#define REPO_FILE_LEVEL 3

struct Repository {
        Storage *storage; /* weak */
        char *prefix;
        CipherKey key;
        RepoConfig config;
        RepoCache *cache; /* or NULL */
        pthread_mutex_t lock;
        Cipher *cipher;         /* below the lock */
        Compressor *compressor; /* below the lock; NULL in version 1 */
};

/* All of an object, of at most max bytes; size: UINT64_MAX: not known. Allocates. */
int repository_read_object(Storage *s, const char *key, uint64_t size, uint64_t max, uint8_t **ret,
                           size_t *ret_n, Failure *reterr_failure) _warn_unused_;
int repository_write_object(Storage *s, const char *key, const void *p, size_t n, const Id *digest,
                            Failure *reterr_failure) _warn_unused_;
/* Lists without a handle: the key files of a repository that is not open yet. */
int repository_list_at(Storage *s, const char *prefix, RepoFileType type, RepositoryListFunc func,
                       void *userdata, Failure *reterr_failure) _warn_unused_;
int repository_path_at(const char *prefix, RepoFileType type, const Id *id, char **ret) _warn_unused_;
/* "snapshot 1a2b3c4d…" */
#define REPO_FILE_LABEL_MAX 40
char *repository_label(RepoFileType type, const Id *id, char buf[static REPO_FILE_LABEL_MAX]);
