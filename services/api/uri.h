#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The target of a request: path and query, pure. Percent encoding is strict: two digits each, no %00. The
 * path stays encoded, because a slash may be encoded in one of its segments. */

#include "base/macros.h"

/* No route has more than a handful; a list of thousands would only be an attack on lookups. */
#define URI_PARAMS_MAX 16

typedef struct UriParam {
        char *name;
        char *value;
} UriParam;

typedef struct Uri {
        char *path;
        UriParam *params;
        size_t n_params;
} Uri;

#define URI_NULL ((Uri){})

void uri_done(Uri *u);

/* Takes "/path?name=value" and "http://host/path?…". -EINVAL: not of the form, or a name given twice;
 * -E2BIG: more than URI_PARAMS_MAX. */
int uri_parse(const char *target, Uri *ret) _warn_unused_;
/* The value of a parameter, or NULL. */
const char *uri_param(const Uri *u, const char *name);
/* plus: + is a space, as in a query. Allocates. */
int percent_decode(const char *s, size_t n, bool plus, char **ret) _warn_unused_;
