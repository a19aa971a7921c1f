#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Tokens of install links: used once, for one node. Using one again with the same key, in its time and
 * before the token it gave was ever used, is allowed: a lost reply must not burn the link. Written by the
 * API. */

#include "store/node-token.h"

enum {
        ENROLLMENT_E_EXPIRED = _STORE_E_MAX + 200,
        ENROLLMENT_E_USED, /* by another key, or the agent is in contact already */
};

/* Making one opens the node's pin, once (node_open_pin). STORE_E_NOT_FOUND: no such node. */
int enrollment_add(Store *s, uint64_t node_id, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now,
                   usec_t expires, uint64_t created_by) _warn_unused_;
/* Looks without using. STORE_E_NOT_FOUND, ENROLLMENT_E_EXPIRED. */
int enrollment_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now, uint64_t *ret_node_id)
                _warn_unused_;
/* Uses it for this key and gives its node. STORE_E_NOT_FOUND, ENROLLMENT_E_EXPIRED, ENROLLMENT_E_USED. Does
 * not add the node's token: do both in one transaction. */
int enrollment_use(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], const char *public_key, usec_t now,
                   uint64_t *ret_node_id) _warn_unused_;
