#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Install links: what GET /install/{token} gives, once and in its time. Only the hash of a link's token is
 * here, and what it gives is sealed to a key made from that token: the database alone opens nothing. Written
 * by the API. */

#include "crypto/token.h"
#include "store/store.h"

enum {
        INSTALL_LINK_E_EXPIRED = _STORE_E_MAX + 600,
        INSTALL_LINK_E_USED,
};

typedef struct InstallLink {
        uint64_t node_id;
        usec_t created;
        usec_t expires;
        uint64_t created_by;
        const char *sealed;
} InstallLink;

/* STORE_E_NOT_FOUND: no such node. */
int install_link_add(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE],
                     const InstallLink *link) _warn_unused_;
/* Looks without using. STORE_E_NOT_FOUND, INSTALL_LINK_E_EXPIRED, INSTALL_LINK_E_USED. The outputs are set
 * for 0 alone; ret_sealed is allocated. */
int install_link_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now,
                      uint64_t *ret_node_id, char **ret_sealed) _warn_unused_;
/* Uses it and forgets what it gave: of two callers at once one gets 0, the other INSTALL_LINK_E_USED. */
int install_link_use(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now) _warn_unused_;
