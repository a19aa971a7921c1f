#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Key files: the master key of a repository, sealed with a key that scrypt makes of a password. A key file
 * is the one kind of file that is not encrypted as a whole, and anybody who can write to the storage can put
 * one there: its parameters are bounded. */

#include "base/failure.h"
#include "crypto/cipher.h"
#include "crypto/primitives.h"
#include "repository/moment.h"

/* Of the JSON; ours has 450 bytes. */
#define REPO_KEY_FILE_MAX (64U << 10)

/* Bounds of what a foreign key file may ask of us: 256 MiB, and about ten seconds. restic asks for 32 to 64
 * MiB and half a second. */
#define REPO_KEY_MEMORY_MAX (UINT64_C(256) << 20)
#define REPO_KEY_WORK_MAX (UINT64_C(1) << 25) /* n * r * p */

/* Our passwords are random: 256 bits need no stretching, so p is 1. */
#define REPO_KEY_COST ((ScryptCost){ .n = 32768, .r = 8, .p = 1 })
#define REPO_KEY_SALT_SIZE 64

typedef struct RepoKeyFile {
        char *hostname, *username; /* for people; may be NULL */
        Moment created;
        ScryptCost cost;
        void *salt;
        size_t salt_size;
        void *data; /* the sealed master key */
        size_t data_size;
} RepoKeyFile;

#define REPO_KEY_FILE_NULL ((RepoKeyFile){})
void repo_key_file_done(RepoKeyFile *k);

/* A random master key. */
int repo_key_generate(CipherKey *ret) _warn_unused_;

/* The same one for the same password, which is as good as a key. */
int repo_key_derive(const char *password, CipherKey *ret) _warn_unused_;

/* Takes a key file apart. -EBADMSG with REPOSITORY_KEY_INVALID: not one, or one whose parameters are out of
 * bounds. */
int repo_key_file_parse(const void *data, size_t n, RepoKeyFile *ret, Failure *reterr_failure) _warn_unused_;
/* JSON; allocated. */
int repo_key_file_format(const RepoKeyFile *k, char **ret, size_t *ret_size) _warn_unused_;

/* Opens the master key. -EKEYREJECTED: not the password of this file. -EBADMSG: authentic, and no key. Takes
 * as long as the parameters say. The caller wipes *ret. */
int repo_key_open(const RepoKeyFile *k, const char *password, CipherKey *ret) _warn_unused_;
/* Seals the master key with a new salt; the text fields are the caller's to fill. */
int repo_key_seal(const CipherKey *master, const char *password, const ScryptCost *cost,
                  RepoKeyFile *ret) _warn_unused_;

/* The JSON of a master key inside of a key file, for the fuzzer, too. */
int repo_key_master_parse(const void *data, size_t n, CipherKey *ret) _warn_unused_;
