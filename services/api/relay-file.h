#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The disk of the relay, for worker threads: every path is resolved below the base directory and never
 * through a symbolic link. Keys and prefixes are valid (relay-path.h). */

#include <sys/types.h>

#include "crypto/digest.h"

/* Opens a base directory; make: with missing parents. */
int relay_open_base(const char *path, bool make, int *ret) _warn_unused_;

/* -ENOENT: no such object (or no file). */
int relay_open_object(int base, const char *key, int *ret, uint64_t *ret_size) _warn_unused_;
int relay_remove_object(int base, const char *key) _warn_unused_;

/* A new staged file; -EEXIST when the key is taken already. */
int relay_stage(int base, const char *name, const char *key) _warn_unused_;
/* -ENOENT: no such upload. */
int relay_open_staged(int base, const char *name, int *ret, uint64_t *ret_size) _warn_unused_;
int relay_remove_staged(int base, const char *name) _warn_unused_;
/* Makes the staged file, durably, the object; -EEXIST. */
int relay_publish(int base, const char *name, int fd, const char *key) _warn_unused_;

/* The digest of a file's n bytes. */
int relay_digest(int fd, uint64_t n, uint8_t ret[static SHA256_SIZE]) _warn_unused_;

/* Names in the staging folder. */
int relay_list_staged(int base, char ***ret) _warn_unused_;
