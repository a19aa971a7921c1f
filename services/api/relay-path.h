#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Keys, prefixes and ranges: what a client may name, decided without a file system. */

#include "base/macros.h"

#define RELAY_KEY_MAX 3072U
/* Names of ours in a relay directory begin with this; no key may use them. */
#define RELAY_RESERVED ".backupx-"
#define RELAY_STAGING ".backupx-staging"

/* Names joined by single slashes, none of them empty, ".", "..", longer than 255 bytes, or reserved. */
bool relay_key_is_valid(const char *key);
/* The same with a '/' at the end; "" is every key. */
bool relay_prefix_is_valid(const char *prefix);

/* The prefix of a capability: where it ends in '-' the attempt follows. */
int relay_prefix_of(const char *prefix, uint32_t attempt, char **ret) _warn_unused_;

/* Where a repository has its locks: key is one in the repository at prefix, which it was checked against. */
#define RELAY_LOCKS "locks/"
bool relay_key_is_lock(const char *prefix, const char *key);
/* What opens the repository at prefix, which no job removes: its config and its keys. */
bool relay_key_opens(const char *prefix, const char *key);

/* Whether dir is one of the allowed directories or below one. Both are absolute and without "..". */
bool relay_directory_is_allowed(const char *dir, char *const *allowed);

/* "bytes=5-9", "bytes=5-", "bytes=-5" of an object of this size. 0: *ret_… are set; -ERANGE: nothing of it
 * is there; -EINVAL: not a single range, which is to be ignored. */
int relay_parse_range(const char *text, uint64_t size, uint64_t *ret_offset,
                      uint64_t *ret_length) _warn_unused_;

/* "<upload>.<command>-<attempt>.<32 digits of the key's digest>" */
#define RELAY_UPLOAD_ID_SIZE 33
#define RELAY_STAGED_MAX 128
typedef struct RelayStaged {
        char upload[RELAY_UPLOAD_ID_SIZE];
        uint64_t command;
        uint32_t attempt;
} RelayStaged;

int relay_staged_name(const RelayStaged *s, const char *key,
                      char ret[static RELAY_STAGED_MAX]) _warn_unused_;
/* -EINVAL: no name of ours. */
int relay_staged_parse(const char *name, RelayStaged *ret) _warn_unused_;
bool relay_upload_id_is_valid(const char *id);
