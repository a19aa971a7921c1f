#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Secrets that the service manager hands to a service in $CREDENTIALS_DIRECTORY. */

#include "base/macros.h"

/* Reads a credential of at most max bytes without the line end that an editor leaves. *ret is for
 * erase_and_freep(). ret_size may be NULL. -ENXIO: no credentials at all were passed; -ENOENT: not this one;
 * -EFBIG. */
int credential_read(const char *name, size_t max, char **ret, size_t *ret_size) _warn_unused_;
