#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What an open command waits for, for people: pure. */

#include "store/node.h"
#include "store/queue.h"

/* How many jobs a node takes at a time: what its agent offers, and no more than its limit. */
uint32_t node_places(const Node *n);
/* "node 'web-1', which is offline"; *ret is NULL for a command that waits for nothing but its own end. */
int queue_waits_for(const Command *c, const Node *n, const NodeQueue *q, char **ret) _warn_unused_;
