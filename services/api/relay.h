#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Storage on the master's disk, for jobs: a capability of one attempt opens one target below one prefix.
 * Objects are uploaded in parts, appear under their key at the commit and never replace another one.
 *
 * An upload lives in a staged file whose name says whose it is: upload, command, attempt and key. So it goes
 * on after a restart of this daemon, no other job can touch it, and a sweep knows when nobody will. */

#include "services/api/request.h"

typedef struct Relay Relay;

#define RELAY_PART_SIZE (8U << 20)
#define RELAY_COMMIT_MAX (4U << 10) /* a body with size and digest */

int relay_new(Api *api, Relay **ret) _warn_unused_;
Relay *relay_free(Relay *relay);
DEFINE_CLEANUP(Relay *, relay_free);
int relay_start(Relay *relay) _warn_unused_;

/* The handlers of the route table. */
int relay_get(Request *r);
int relay_post(Request *r);
int relay_put(Request *r);
int relay_delete(Request *r);
