#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Numbers of the query. Where one is absent *ret stays as it is; where it is none the request is answered
 * with 400, and -EBADMSG is given. */

#include "services/api/request.h"

int query_number(Request *r, const char *name, uint64_t max, uint64_t *ret) _warn_unused_;
/* Of a row: from 1. */
int query_id(Request *r, const char *name, uint64_t *ret) _warn_unused_;
