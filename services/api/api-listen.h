#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where the daemon listens, and where it does so with TLS. */

#include "services/api/api.h"

/* Makes the server and opens all of its sockets: those that were handed over, else server.listen. Logs. */
int api_listen(Api *api) _warn_unused_;
