#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where a credential stands in a request: pure parsers of two headers. */

#include "base/macros.h"

/* The token behind "Bearer " of an Authorization header (RFC 6750), borrowed; NULL: another scheme, or not
 * of the form. */
const char *bearer_token(const char *authorization);

/* A copy of the first cookie of this name (RFC 6265: "a=1; b=2"). 0 when it is not there (*ret stays). */
int cookie_value(const char *header, const char *name, char **ret) _warn_unused_;
