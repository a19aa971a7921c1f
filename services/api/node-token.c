/* SPDX-License-Identifier: Apache-2.0 */

/* What a node shows that it is itself: enrolment tokens, tokens, its pinned key. */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "crypto/token.h"
#include "store/enrollment.h"
#include "store/node-token.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"

/* How long an install link may live. */
#define ENROLLMENT_TTL_DEFAULT_SEC 3600U
#define ENROLLMENT_TTL_MIN_SEC 60U
#define ENROLLMENT_TTL_MAX_SEC (7U * 24 * 3600)

static int read_ttl(Request *r, uint32_t *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        JsonReader reader;
        int error;

        error = request_body_json_or_none(r, &body);
        if (error < 0)
                return error;
        json_reader_init(&reader, body, &failure);
        error = json_reader_u32(&reader, "ttl_s", JSON_OPTIONAL, ENROLLMENT_TTL_MAX_SEC, ret);
        if (error > 0 && *ret < ENROLLMENT_TTL_MIN_SEC)
                json_reader_fail(&reader, "ttl_s", "has to be at least %u", ENROLLMENT_TTL_MIN_SEC);
        return request_check(r, json_reader_finish(&reader), &failure);
}

static int enroll_write(Request *r, const Node *node, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now,
                        usec_t expires) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(node);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = enrollment_add(r->api->store, node->id, hash, now, expires, r->principal.user_id);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "node.enrollment", node->id, node->name, NULL);
}

/* A one-time token for an install link; also the operator's leave to pin another key. */
int node_enrollment(Request *r) {
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_json_ json_t *data = json_object();
        usec_t now = now_usec(CLOCK_REALTIME);
        uint32_t ttl = ENROLLMENT_TTL_DEFAULT_SEC;
        uint8_t hash[TOKEN_HASH_SIZE];
        int error;

        assert(r);

        error = read_ttl(r, &ttl);
        if (error < 0)
                return error;
        error = node_get(r->api->store, r->id, &node);
        if (error == 0)
                error = token_new_hashed(TOKEN_ENROLLMENT, &token, hash);
        if (error == 0)
                error = enroll_write(r, &node, hash, now, now + ttl * USEC_PER_SEC);
        if (error != 0)
                return node_fail(r, error, &node);
        if (json_set(data, "token", json_from_string(token)) < 0 ||
            json_set(data, "expires_at", json_from_time(now + ttl * USEC_PER_SEC)) < 0)
                return -ENOMEM;
        return request_reply(r, MHD_HTTP_CREATED, TAKE_PTR(data));
}

/* Sealed to the key that the node has shown, where it has one: then nobody has to log in to the server. */
static int seal_for_node(const Node *node, const char *token, char **ret_sealed) {
        AgeRecipient recipient;
        int error;

        if (!node->public_key)
                return 0;
        error = age_recipient_parse(node->public_key, &recipient);
        return error < 0 ? error : seal(&recipient, token, strlen(token), ret_sealed);
}

/* {"revoke": true}: the older tokens end at once. */
static int read_revoke(Request *r, bool *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        JsonReader reader;
        int error;

        error = request_body_json_or_none(r, &body);
        if (error < 0)
                return error;
        json_reader_init(&reader, body, &failure);
        json_reader_bool(&reader, "revoke", JSON_OPTIONAL, ret);
        return request_check(r, json_reader_finish(&reader), &failure);
}

static int rotate_write(Request *r, const Node *node, const uint8_t hash[static TOKEN_HASH_SIZE],
                        const char *sealed, usec_t now, bool revoke) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(node);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = node_token_add(r->api->store, node->id, hash, sealed, now, /* replace_now= */ revoke);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "node.token", node->id, node->name,
                             json_pack("{s:b}", "revoke", revoke));
}

/* Who brings the new token to the server. */
static const char *rotate_notice(const char *sealed, bool revoke) {
        if (sealed)
                return "The agent takes the new token over with one of its next heartbeats.";
        if (revoke)
                return "Nothing that the agent has works any more: put the new token on its server.";
        return "No key of this node is known yet, so the token cannot be handed over: put it on the server "
               "before the old one ends.";
}

/* A new token: the older ones live for a day, and the agent gets the new one with its next heartbeat.
 * Revoked, they end at once, and somebody has to carry the new one to the server. */
int node_rotate(Request *r) {
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_(freep) char *sealed = NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_json_ json_t *data = json_object();
        usec_t now = now_usec(CLOCK_REALTIME);
        uint8_t hash[TOKEN_HASH_SIZE];
        bool revoke = false;
        int error;

        assert(r);

        error = read_revoke(r, &revoke);
        if (error < 0)
                return error;
        error = node_get(r->api->store, r->id, &node);
        if (error == 0)
                error = token_new_hashed(TOKEN_NODE, &token, hash);
        if (error == 0 && !revoke)
                error = seal_for_node(&node, token, &sealed);
        if (error == 0)
                error = rotate_write(r, &node, hash, sealed, now, revoke);
        if (error != 0)
                return node_fail(r, error, &node);
        if (json_set(data, "token", json_from_string(token)) < 0 ||
            json_set(data, "handed_over", json_boolean(sealed)) < 0 ||
            json_set(data, "old_valid_until", json_from_stamp(revoke ? now : now + NODE_TOKEN_GRACE_USEC)) <
                            0 ||
            json_set(data, "notice", json_from_string(rotate_notice(sealed, revoke))) < 0)
                return -ENOMEM;
        return request_reply(r, MHD_HTTP_CREATED, TAKE_PTR(data));
}

/* --- Identity ------------------------------------------------------------------------------------- */

static int reset_write(Request *r, const Node *node, bool revoke) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(node);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = node_open_pin(r->api->store, node->id);
        if (error == 0 && revoke)
                error = node_tokens_revoke(r->api->store, node->id);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "node.reset-identity", node->id, node->name,
                             json_pack("{s:b}", "revoke", revoke));
}

/* The leave to pin another key, once: for a server that lost its state and kept its token. Its tokens stay
 * valid, unless they are revoked with it: then a new install link is the way back. */
int node_reset_identity(Request *r) {
        _cleanup_(node_done) Node node = NODE_NULL;
        bool revoke = false;
        int error;

        assert(r);

        error = read_revoke(r, &revoke);
        if (error < 0)
                return error;
        error = node_get(r->api->store, r->id, &node);
        if (error == 0)
                error = reset_write(r, &node, revoke);
        if (error != 0)
                return node_fail(r, error, &node);
        change_tell(r, "node", node.id, "updated");
        return request_reply(r, MHD_HTTP_OK, json_object());
}
