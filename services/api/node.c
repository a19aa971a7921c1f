/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "crypto/token.h"
#include "store/enrollment.h"
#include "store/node-token.h"
#include "sys/log.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/page.h"

/* How long an install link may live. */
#define ENROLLMENT_TTL_DEFAULT_SEC 3600U
#define ENROLLMENT_TTL_MIN_SEC 60U
#define ENROLLMENT_TTL_MAX_SEC (7U * 24 * 3600)

static int fail_node(Request *r, int outcome, const Node *node) {
        switch (outcome) {
        case STORE_E_NOT_FOUND:
                return request_fail(r, ERROR_NODE_NOT_FOUND, "There is no node %" PRIu64 ".", r->id);
        case STORE_E_EXISTS:
                return request_fail_field(r, ERROR_NODE_EXISTS, "name", "There is a node %s already.",
                                          node->name);
        case STORE_E_IN_USE:
                return request_fail(r, ERROR_NODE_IN_USE,
                                    "Tasks or open runs use the node %s: delete or end them first.",
                                    node->name);
        case NODE_E_LOCAL:
                return request_fail(r, ERROR_NODE_IS_LOCAL,
                                    "The master's own node cannot be renamed or deleted.");
        default:
                return outcome < 0 ? outcome : -EINVAL;
        }
}

int nodes_get(Request *r) {
        _cleanup_(node_list_done) NodeList list = NODE_LIST_NULL;
        _cleanup_(page_done) Page page = PAGE_NULL;
        int error;

        error = page_from_request(r, &page);
        if (error < 0)
                return error;
        error = nodes_list(r->api->store, page.cursor, page_rows(&page), &list);
        if (error < 0)
                return error;
        for (size_t i = 0; i < list.n; i++)
                page_add(&page, list.items[i].id, node_to_json(&list.items[i]));
        return page_reply(r, &page);
}

static int reply_node(Request *r, unsigned status, uint64_t id, const char *token) {
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_json_ json_t *data = NULL;
        int error;

        error = node_get(r->api->store, id, &node);
        if (error != 0)
                return fail_node(r, error, &node);
        data = node_to_json(&node);
        if (!data || (token && json_set(data, "token", json_from_string(token)) < 0))
                return -ENOMEM;
        return request_reply(r, status, TAKE_PTR(data));
}

int node_get_one(Request *r) {
        return reply_node(r, MHD_HTTP_OK, r->id, NULL);
}

static int read_node(Request *r, Node *node) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        int error;

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        return request_check(r, node_from_json(body, node, &failure), &failure);
}

/* --- New ones ------------------------------------------------------------------------------------- */

static int add(Request *r, Node *node, const uint8_t hash[static TOKEN_HASH_SIZE]) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        usec_t now = now_usec(CLOCK_REALTIME);
        int error;

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = node_add(r->api->store, node->name, node->description, now, &node->id);
        if (error != 0)
                return error;
        error = node_token_add(r->api->store, node->id, hash, /* sealed= */ NULL, now,
                               /* replace_now= */ false);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "node.create", node->id, node->name, NULL);
}

int nodes_post(Request *r) {
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        uint8_t hash[TOKEN_HASH_SIZE];
        int error;

        error = read_node(r, &node);
        if (error < 0)
                return error;
        error = token_new(TOKEN_NODE, &token);
        if (error >= 0)
                error = token_hash(token, hash);
        if (error >= 0)
                error = add(r, &node, hash);
        if (error != 0)
                return fail_node(r, error, &node);
        change_tell(r, "node", node.id, "created");
        return reply_node(r, MHD_HTTP_CREATED, node.id, token);
}

/* --- Changes -------------------------------------------------------------------------------------- */

static int update(Request *r, const Node *node) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = node_update(r->api->store, node->id, node->name, node->description);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "node.update", node->id, node->name, NULL);
}

int node_put(Request *r) {
        _cleanup_(node_done) Node node = NODE_NULL;
        int error;

        error = node_get(r->api->store, r->id, &node);
        if (error != 0)
                return fail_node(r, error, &node);
        error = read_node(r, &node);
        if (error < 0)
                return error;
        error = update(r, &node);
        if (error != 0)
                return fail_node(r, error, &node);
        change_tell(r, "node", node.id, "updated");
        return reply_node(r, MHD_HTTP_OK, node.id, NULL);
}

int node_remove(Request *r) {
        _cleanup_(node_done) Node node = NODE_NULL;
        int error;

        error = node_get(r->api->store, r->id, &node);
        if (error == 0)
                error = change_delete(r, node_delete, "node.delete", node.id, node.name);
        if (error != 0)
                return fail_node(r, error, &node);
        change_tell(r, "node", node.id, "deleted");
        return request_reply(r, MHD_HTTP_OK, json_object());
}

/* --- Tokens --------------------------------------------------------------------------------------- */

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

static int enroll_write(Request *r, const Node *node, const char *token, usec_t now, usec_t expires) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        uint8_t hash[TOKEN_HASH_SIZE];
        int error;

        error = token_hash(token, hash);
        if (error < 0)
                return error;
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
        int error;

        error = read_ttl(r, &ttl);
        if (error < 0)
                return error;
        error = node_get(r->api->store, r->id, &node);
        if (error == 0)
                error = token_new(TOKEN_ENROLLMENT, &token);
        if (error == 0)
                error = enroll_write(r, &node, token, now, now + ttl * USEC_PER_SEC);
        if (error != 0)
                return fail_node(r, error, &node);
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

static int rotate_write(Request *r, const Node *node, const char *token, const char *sealed, bool revoke) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        uint8_t hash[TOKEN_HASH_SIZE];
        int error;

        error = token_hash(token, hash);
        if (error < 0)
                return error;
        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = node_token_add(r->api->store, node->id, hash, sealed, now_usec(CLOCK_REALTIME),
                               /* replace_now= */ revoke);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "node.token", node->id, node->name,
                             json_pack("{s:b}", "revoke", revoke));
}

/* A new token: the older ones live for a day, and the agent gets the new one with its next heartbeat.
 * Revoked, they end at once, and somebody has to carry the new one to the server. */
int node_rotate(Request *r) {
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_(freep) char *sealed = NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        bool revoke = false;
        int error;

        error = read_revoke(r, &revoke);
        if (error < 0)
                return error;
        error = node_get(r->api->store, r->id, &node);
        if (error == 0)
                error = token_new(TOKEN_NODE, &token);
        if (error == 0 && !revoke)
                error = seal_for_node(&node, token, &sealed);
        if (error == 0)
                error = rotate_write(r, &node, token, sealed, revoke);
        if (error != 0)
                return fail_node(r, error, &node);
        return request_reply(r, MHD_HTTP_CREATED,
                             json_pack("{s:s, s:b}", "token", token, "handed_over", sealed != NULL));
}
