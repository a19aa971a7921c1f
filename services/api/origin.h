#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where a request comes from: the connection, or what a proxy that we trust says about it. */

#include "services/api/request.h"

/* Sets address, is_https and is_proxied. The headers have to be there. */
void request_find_origin(Request *r);
