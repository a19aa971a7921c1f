#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The last check of each node. The API writes it; the dispatcher reads which ones found errors. */

#include "store/store.h"

typedef struct NodeCheck {
        uint64_t node_id;
        usec_t at;      /* wall clock of the master */
        unsigned state; /* CheckState of wire/check.h: 2 is an error */
        char *source;   /* "master": asked for there; "agent": the node's own timer, or somebody on it */
        char *summary;  /* NULL: all is well */
        char *report;   /* JSON: items and tools */
} NodeCheck;

#define NODE_CHECK_NULL ((NodeCheck){})
void node_check_done(NodeCheck *c);

/* In the place of the one before. STORE_E_NOT_FOUND: the node is gone. */
int node_check_set(Store *s, const NodeCheck *c) _warn_unused_;
/* STORE_E_NOT_FOUND: there was none. */
int node_check_get(Store *s, uint64_t node_id, NodeCheck *ret) _warn_unused_;

#define NODE_CHECK_FAILED 2U

/* Nodes whose last check found errors, by id, behind after_node_id; up to n. */
int node_checks_failed(Store *s, uint64_t after_node_id, uint64_t *ids, size_t n,
                       size_t *ret_n) _warn_unused_;
