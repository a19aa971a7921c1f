#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The whole of the API on one page: routes.c. */

#include "services/api/request.h"
#include "services/api/route.h"

/* All rows; *ret_n is their count. */
const Route *routes_all(size_t *ret_n);

/* With the headers: finds the route, checks query, caller and announced size. Refuses by answering. */
int routes_begin(Request *r, const char *method, uint64_t announced) _warn_unused_;
/* With the body: calls the handler. */
int routes_run(Request *r) _warn_unused_;
