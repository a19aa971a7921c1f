#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the last check of a node found. */

#include "wire/check.h"

#include "services/api/request.h"

/* Keeps a report in its normal form, and lets the dispatcher judge the node by it. source: who asked,
 * "master" or "agent". A node that is gone is no error. */
int node_check_keep(Api *api, uint64_t node_id, const char *source, const json_t *report) _warn_unused_;
/* {"at","state","summary","source","items","tools"}, null where there was none. */
int node_check_to_json(Api *api, uint64_t node_id, json_t **ret) _warn_unused_;
