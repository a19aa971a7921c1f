/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/token.h"
#include "store/api-key.h"
#include "store/node-token.h"
#include "sys/log.h"

#include "services/api/api.h"
#include "services/api/credential-header.h"
#include "services/api/principal.h"
#include "services/api/request.h"
#include "services/api/login.h"

/* The use of a key is written down this often, not at every request. */
#define USE_NOTED_USEC USEC_PER_MINUTE

void principal_done(Principal *p) {
        assert(p);

        free(p->username);
        relay_cap_done(&p->relay);
        *p = PRINCIPAL_NULL;
}

/* A refusal is an answer: this makes it the outcome. */
static int refused(int error) {
        return error < 0 ? error : PRINCIPAL_E_REFUSED;
}

static int take_user(Principal *p, PrincipalKind kind, User *user, UserRole role) {
        p->kind = kind;
        p->user_id = user->id;
        p->role = role;
        p->username = TAKE_PTR(user->username);
        return 0;
}

static int by_api_key(Request *r, const char *token) {
        _cleanup_(api_key_done) ApiKey key = API_KEY_NULL;
        _cleanup_(user_done) User user = USER_NULL;
        usec_t now = now_usec(CLOCK_REALTIME);
        uint8_t hash[TOKEN_HASH_SIZE];
        int error;

        assert(r);

        error = token_hash(token, hash);
        if (error < 0)
                return error;
        error = api_key_find(r->api->store, hash, now, &key, &user);
        if (error != 0)
                return error;
        if (usec_sub(now, key.last_used) > USE_NOTED_USEC) {
                error = api_key_used(r->api->store, key.id, now);
                if (error < 0)
                        log_warning_errno(error,
                                          "Failed to note the use of API key %" PRIu64 ", ignoring: %m",
                                          key.id);
        }
        r->principal.api_key_id = key.id;
        return take_user(&r->principal, PRINCIPAL_API_KEY, &user, key.role);
}

static int by_session(Request *r, const char *text) {
        _cleanup_(user_done) User user = USER_NULL;
        usec_t now = now_usec(CLOCK_REALTIME);
        SessionClaims claims;
        int error;

        assert(r);

        error = session_verify(r->api->session_key, text, now, &claims);
        if (error == -EBADMSG || error == -ESTALE)
                return STORE_E_NOT_FOUND;
        if (error < 0)
                return error;
        error = session_get(r->api->store, claims.id, now, NULL, &user);
        if (error != 0)
                return error;
        if (user.id != claims.user_id)
                return STORE_E_NOT_FOUND;
        memcpy(r->principal.jti, claims.id, sizeof(claims.id));
        return take_user(&r->principal, PRINCIPAL_SESSION, &user, user.role);
}

static bool changes_something(Method method) {
        return !(method & (METHOD_GET | METHOD_HEAD));
}

/* Who the person is: 0, STORE_E_NOT_FOUND (a credential that opens nothing), PRINCIPAL_NONE left (none
 * came). */
static int find_person(Request *r) {
        const char *authorization = request_header(r, "Authorization"),
                   *cookies = request_header(r, "Cookie");
        _cleanup_(erase_and_freep) char *cookie = NULL;
        const char *token;
        int error;

        assert(r);

        if (authorization) {
                token = bearer_token(authorization);
                if (!token)
                        return STORE_E_NOT_FOUND;
                return token_is_valid(token, TOKEN_API_KEY) ? by_api_key(r, token) : by_session(r, token);
        }
        error = cookies ? cookie_value(cookies, SESSION_COOKIE, &cookie) : 0;
        if (error <= 0)
                return error;
        r->principal.by_cookie = true;
        return by_session(r, cookie);
}

static UserRole needed_role(Access access) {
        return access == ACCESS_ADMIN ? USER_ADMIN : access == ACCESS_OPERATOR ? USER_OPERATOR :
                                                                                 USER_VIEWER;
}

static int authorize_person(Request *r) {
        UserRole needed = needed_role(r->match.route->access);
        int error;

        error = find_person(r);
        if (error < 0)
                return error;
        if (error > 0)
                return refused(request_fail(
                                r, ERROR_AUTH_INVALID,
                                "This session or API key is not valid (any more): log in again."));
        if (r->principal.kind == PRINCIPAL_NONE)
                return refused(request_fail(r, ERROR_AUTH_REQUIRED, "Log in first, or send an API key."));
        /* A foreign page can make a browser send its cookie, but not a header of its own. */
        if (r->principal.by_cookie && changes_something(r->method) && !request_header(r, "X-BackupX"))
                return refused(request_fail(r, ERROR_CSRF_REFUSED,
                                            "Changes with a cookie need the header 'X-BackupX: 1'."));
        if (r->principal.role < needed)
                return refused(request_fail(
                                r, ERROR_FORBIDDEN, "This needs the role %s; you have the role %s.",
                                user_role_to_string(needed), user_role_to_string(r->principal.role)));
        return 0;
}

static const char *machine_token(const Request *r, const char *prefix) {
        const char *authorization = request_header(r, "Authorization");
        const char *token = authorization ? bearer_token(authorization) : NULL;

        return token && token_is_valid(token, prefix) ? token : NULL;
}

static int find_node(Request *r) {
        const char *token = machine_token(r, TOKEN_NODE);
        usec_t now = now_usec(CLOCK_REALTIME);
        uint8_t hash[TOKEN_HASH_SIZE];
        NodeToken found;
        int error;

        assert(r);

        if (!token)
                return STORE_E_NOT_FOUND;
        error = token_hash(token, hash);
        if (error < 0)
                return error;
        error = node_token_find(r->api->store, hash, now, &found);
        if (error != 0)
                return error;
        if (!found.node_enabled)
                return PRINCIPAL_E_DISABLED;
        r->principal.kind = PRINCIPAL_NODE;
        /* The first use changes what other requests see, so it does not wait. */
        if (found.first_used == 0) {
                error = node_token_used(r->api->store, found.id, now);
                if (error < 0)
                        return error;
        }
        r->principal.token_to_note = found.first_used > 0 &&
                        usec_sub(now, found.last_used) > USEC_PER_HOUR;
        r->principal.node_id = found.node_id;
        r->principal.token_id = found.id;
        r->principal.token_is_old = found.valid_until != 0;
        return 0;
}

static int authorize_node(Request *r) {
        int error;

        error = find_node(r);
        if (error <= 0)
                return error;
        if (error == PRINCIPAL_E_DISABLED)
                return refused(request_fail_later(
                                r, ERROR_NODE_DISABLED, USEC_PER_MINUTE,
                                "This node was disabled at the master: its agent has nothing to do until an "
                                "administrator enables it again."));
        return refused(request_fail(
                        r, ERROR_NODE_TOKEN_INVALID,
                        "This node token is not valid (any more): make a new one for the node."));
}

/* "bxr_….2": a capability, and the attempt whose job presents it. */
static int relay_token(const Request *r, char ret_token[static TOKEN_LENGTH + 1], uint32_t *ret_attempt) {
        const char *authorization = request_header(r, "Authorization");
        const char *text = authorization ? bearer_token(authorization) : NULL;

        if (!text || strlen(text) < TOKEN_LENGTH + 2 || text[TOKEN_LENGTH] != '.')
                return STORE_E_NOT_FOUND;
        memcpy(ret_token, text, TOKEN_LENGTH);
        ret_token[TOKEN_LENGTH] = 0;
        if (!token_is_valid(ret_token, TOKEN_RELAY) ||
            parse_u32(text + TOKEN_LENGTH + 1, 1, UINT32_MAX, ret_attempt) < 0)
                return STORE_E_NOT_FOUND;
        return 0;
}

static int authorize_relay(Request *r) {
        char token[TOKEN_LENGTH + 1];
        CLEANUP_ERASE(token);
        uint8_t hash[TOKEN_HASH_SIZE];
        uint32_t attempt;
        int error;

        assert(r);

        error = relay_token(r, token, &attempt);
        if (error == 0) {
                error = token_hash(token, hash);
                if (error < 0)
                        return error;
                error = relay_cap_find(r->api->store, hash, attempt, &r->principal.relay);
        }
        if (error < 0)
                return error;
        if (error > 0)
                return refused(request_fail(
                                r, ERROR_RELAY_TOKEN_INVALID,
                                "This capability is unknown, or its job has ended or was replaced."));
        r->principal.kind = PRINCIPAL_RELAY;
        r->principal.node_id = r->principal.relay.node_id;
        return 0;
}

int principal_authorize(Request *r) {
        assert(r);
        assert(r->match.route);

        principal_done(&r->principal);
        switch (r->match.route->access) {
        case ACCESS_PUBLIC:
                return 0;
        case ACCESS_VIEWER:
        case ACCESS_OPERATOR:
        case ACCESS_ADMIN:
                return authorize_person(r);
        case ACCESS_NODE:
                return authorize_node(r);
        case ACCESS_RELAY:
                return authorize_relay(r);
        case _ACCESS_MAX:
                break;
        }
        return -EINVAL;
}
