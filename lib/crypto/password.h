#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Passwords of people, hashed by yescrypt of libxcrypt. Each call takes some 50 ms of processor time and 16
 * MiB: never call these in an event loop. */

#include "base/macros.h"

#define PASSWORD_MIN 8
/* libxcrypt takes no more than 511 bytes. */
#define PASSWORD_MAX 256

/* -EINVAL: the length is outside the limits, or control characters are in it. */
int password_check(const char *password) _warn_unused_;
/* The same errors as password_check(). */
int password_hash(const char *password, char **ret) _warn_unused_;
/* True (1) or false (0), or negative errno. With a hash of NULL (no such user) the answer is 0 after the
 * time that a wrong password takes. */
int password_verify(const char *password, const char *hash) _warn_unused_;
