#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Tokens that agents show, as SHA-256. Several may be valid at once: rotation adds one and lets the older
 * ones live for a day. Written by the API. */

#include "store/api-key.h"
#include "store/node.h"

#define NODE_TOKEN_GRACE_USEC USEC_PER_DAY

typedef struct NodeToken {
        uint64_t id;
        uint64_t node_id;
        usec_t created;
        usec_t first_used;
        usec_t last_used;
        usec_t valid_until; /* 0: it is the newest; else it was replaced */
        bool node_enabled;
} NodeToken;

/* Adds the newest token; older ones that are still valid end after the grace time (replace_now: at once).
 * sealed is the token, sealed to the node's key, for hand-over (node_greet()); or NULL. */
int node_token_add(Store *s, uint64_t node_id, const uint8_t hash[static TOKEN_HASH_SIZE],
                   const char *sealed, usec_t now, bool replace_now) _warn_unused_;
/* The token that is valid at now; else STORE_E_NOT_FOUND. */
int node_token_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now, NodeToken *ret)
                _warn_unused_;
/* Marks use; the first one drops the sealed copy of this token. */
int node_token_used(Store *s, uint64_t token_id, usec_t now) _warn_unused_;
/* Ids of nodes, rising, whose newest token was made before that time and never used, while their agent has
 * one that ends soon. Up to n. */
int nodes_token_old(Store *s, usec_t before, usec_t now, uint64_t *ids, size_t n, size_t *ret_n)
                _warn_unused_;
int node_tokens_revoke(Store *s, uint64_t node_id) _warn_unused_;
/* Node 1, whose token is made on the machine: makes this the only token (positive 1) unless it was set
 * before: then what came after it by rotation stays. */
int node_token_set_local(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now) _warn_unused_;
