#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where a piece is in the storage, and how everything that has to be known to ask for it is in its key, so
 * that a host that lost all else finds its pieces by a listing:
 *
 *     PREFIX USER/usr/sap/HDB/…/log_backup_1_0_2_3/20261122T221501.123Z-0123456789abcdef.zst[.age]
 *
 * Bytes other than letters, digits and "-_.+@" are "%" and two digits, and so are names that would be "."
 * or "..". The last part is the EBID, which is unique. A piece that is larger than an object of the storage
 * has further volumes, with ".001", ".002" … behind the key (storage/volumes.h). */

#include "base/macros.h"
#include "base/times.h"

#define BACKINT_EBID_MAX STRLEN("20261122T221501.123Z-0123456789abcdef+")

/* Makes an EBID of a time and eight random bytes. Gives buf. */
char *backint_ebid_make(char buf[static BACKINT_EBID_MAX], usec_t time, const uint8_t random[static 8]);
/* -EINVAL: it is not one of ours. */
int backint_ebid_time(const char *ebid, usec_t *ret) _warn_unused_;

/* The prefix of all pieces of a user, or of a name that is not NULL. -EINVAL: no absolute path. */
int backint_key_prefix(const char *prefix, const char *user, const char *name, char **ret) _warn_unused_;
/* -EINVAL: no absolute path, or a key that is too long. */
int backint_key_make(const char *prefix, const char *user, const char *name, const char *ebid, bool sealed,
                     char **ret) _warn_unused_;
/* The reverse, below backint_key_prefix(prefix, user, NULL), of any volume. -EINVAL: not the key of a
 * piece. */
int backint_key_parse(const char *below, const char *key, char **ret_name, char **ret_ebid, bool *ret_sealed,
                      size_t *ret_volume) _warn_unused_;
