#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The scheduler and the dispatcher, as the API sees them: calls to their private sockets, and what they ring
 * the bell for. Everything asked here can be asked again; what was decided is in the store. */

#include "sys/bus.h"

#include "services/api/request.h"

typedef struct Api Api;
typedef struct Siblings Siblings;

int siblings_new(Api *api, Siblings **ret) _warn_unused_;
Siblings *siblings_free(Siblings *s);
DEFINE_CLEANUP(Siblings *, siblings_free);
int siblings_start(Siblings *s) _warn_unused_;

/* For those who call and match themselves; before siblings_start() for matches. */
BusPeer *siblings_scheduler(Siblings *s);
BusPeer *siblings_dispatcher(Siblings *s);
