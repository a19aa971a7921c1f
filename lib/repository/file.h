#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The files of a repository other than packs and keys (config, index, snapshots, locks): JSON, from version
 * 2 on compressed, then sealed. Their names are the SHA-256 of what is stored, the config's aside. */

#include "crypto/cipher.h"
#include "repository/compress.h"
#include "repository/id.h"
#include "repository/json-pull.h"

/* As stored. restic keeps its indexes under 8 MiB. */
#define REPO_FILE_SIZE_MAX (256U << 20)

/* An opened file, whose JSON is then read piece by piece. */
typedef struct RepoFile {
        uint8_t *plain; /* as it was sealed; the file's own */
        size_t size;
        size_t at;                  /* of JSON that is not compressed */
        Decompressor *decompressor; /* NULL: it is not */
} RepoFile;

#define REPO_FILE_NULL ((RepoFile){})
void repo_file_done(RepoFile *f);

/* Takes the stored bytes over (they are decrypted in place), also on failure. name: NULL for the config.
 * -EBADMSG: not what the name says, not authentic, or of an encoding that we do not know. */
int repo_file_open(Cipher *cipher, const Id *name, uint8_t *stored, size_t n, RepoFile *ret) _warn_unused_;
/* A JsonPullRead; userdata is the RepoFile. */
ssize_t repo_file_read(void *userdata, void *buf, size_t n);
/* All of it, at most max bytes: -EFBIG beyond. Allocates; a NUL follows. */
int repo_file_read_all(RepoFile *f, size_t max, char **ret, size_t *ret_n) _warn_unused_;

/* Seals JSON for a file. compressor: NULL: it stays as it is (version 1, and the config). Allocates; the
 * name is the id of the result. */
int repo_file_seal(Cipher *cipher, Compressor *compressor, const void *json, size_t n, uint8_t **ret,
                   size_t *ret_n) _warn_unused_;
