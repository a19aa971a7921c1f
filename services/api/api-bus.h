#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* org.backupx.Api1: what the daemon shows of itself on both doors. */

#include "base/failure.h"

typedef struct Api Api;
typedef struct ApiBus ApiBus;

int api_bus_new(Api *api, ApiBus **ret) _warn_unused_;
ApiBus *api_bus_free(ApiBus *b);
int api_bus_start(ApiBus *b, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(ApiBus *, api_bus_free);
