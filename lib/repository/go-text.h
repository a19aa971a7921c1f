#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Text as Go's libraries write it, which is part of the format: the digests of trees depend on it. */

#include "base/buffer.h"

/* A string of JSON with its quotes, as encoding/json has it: '<', '>', '&', U+2028 and U+2029 are escaped;
 * bytes that are not UTF-8 become U+FFFD. */
int go_text_add_json(Buffer *out, const char *s) _warn_unused_;

/* A name between quotes of Go source, without these quotes, as strconv.Quote has it: any bytes become UTF-8
 * text. Characters beyond ASCII stay as they are, also the few that Go would escape because they cannot be
 * seen; it reads both. */
int go_text_quote(Buffer *out, const char *name) _warn_unused_;
/* The reverse; takes all that strconv.Unquote takes. -EINVAL: a bad escape, or a NUL. */
int go_text_unquote(Buffer *out, const char *s, size_t n) _warn_unused_;
