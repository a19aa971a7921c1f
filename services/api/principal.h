#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Who calls, by the credential of the connection alone: never by a field of the payload. */

#include "crypto/session.h"
#include "store/relay-cap.h"
#include "store/session.h"

#include "services/api/route.h"

typedef enum PrincipalKind {
        PRINCIPAL_NONE,
        PRINCIPAL_SESSION,
        PRINCIPAL_API_KEY,
        PRINCIPAL_NODE,
        PRINCIPAL_RELAY,
} PrincipalKind;

typedef struct Principal {
        PrincipalKind kind;

        /* of people */
        uint64_t user_id;
        char *username;
        UserRole role; /* of a key: the lower one of its own and its user's */
        uint64_t api_key_id;
        char jti[SESSION_ID_LENGTH + 1];
        bool by_cookie;

        /* of agents */
        uint64_t node_id;
        uint64_t token_id;
        bool token_is_old;  /* a newer one has replaced it */
        bool token_to_note; /* its use is worth a row, see agent_node_of() */

        /* of jobs */
        RelayCap relay;
} Principal;

#define PRINCIPAL_NULL ((Principal){})

void principal_done(Principal *p);

enum {
        PRINCIPAL_E_REFUSED = 1,     /* the request was answered */
        PRINCIPAL_E_DISABLED = 1000, /* behind the outcomes of the store: the token of a disabled node */
};

/* Finds out who calls and whether that one may use the route; fills r->principal. Public routes take
 * anybody: r->principal then tells who it is where a valid credential came along. */
int principal_authorize(Request *r) _warn_unused_;
