/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/token.h"
#include "store/api-key.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/stream.h"

/* People see their own keys, administrators all. */
int api_keys_get(Request *r) {
        _cleanup_(api_key_list_done) ApiKeyList list = API_KEY_LIST_NULL;
        _cleanup_json_ json_t *items = json_array();
        uint64_t owner = r->principal.role == USER_ADMIN ? 0 : r->principal.user_id;
        size_t n;
        Page page;
        int error;

        error = page_from_request(r, &page);
        if (error < 0)
                return error;
        error = api_keys_list(r->api->store, owner, page.cursor, page.limit + 1, &list);
        if (error < 0)
                return error;
        n = MIN(list.n, page.limit);
        for (size_t i = 0; i < n; i++)
                if (json_append(items, api_key_to_json(&list.items[i])) < 0)
                        return -ENOMEM;
        return request_reply(r, MHD_HTTP_OK,
                             page_to_json(TAKE_PTR(items), list.n > n, n > 0 ? list.items[n - 1].id : 0));
}

/* Reads the body and checks what goes beyond its form. */
static int read_key(Request *r, ApiKey *key) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        int error;

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        key->role = r->principal.role;
        key->user_id = r->principal.user_id;
        key->created = now_usec(CLOCK_REALTIME);
        error = api_key_from_json(body, key, &failure);
        if (error < 0)
                error = request_fail_failure(r, error, &failure);
        else if (key->role > r->principal.role)
                error = request_fail_field(r, ERROR_FORBIDDEN, "role",
                                           "A key cannot have more power than you have.");
        else if (key->expires != 0 && key->expires <= key->created)
                error = request_fail_field(r, ERROR_FIELD_INVALID, "expires_at", "This time has passed.");
        else
                return 0;
        return error < 0 ? error : -EBADMSG;
}

static int add(Request *r, ApiKey *key, const char *token) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        uint8_t hash[TOKEN_HASH_SIZE];
        int error;

        error = token_hash(token, hash);
        if (error < 0)
                return error;
        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = api_key_add(r->api->store, key, hash, &key->id);
        if (error != 0)
                return error;
        error = change_audit(r, "api_key.create", key->id, key->name,
                             json_pack("{s:s}", "role", user_role_to_string(key->role)));
        return error < 0 ? error : store_commit(&tx);
}

int api_keys_post(Request *r) {
        _cleanup_(api_key_done) ApiKey key = API_KEY_NULL;
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_json_ json_t *data = NULL;
        int error;

        error = read_key(r, &key);
        if (error < 0)
                return error;
        error = token_new(TOKEN_API_KEY, &token);
        if (error >= 0)
                error = add(r, &key, token);
        if (error == STORE_E_EXISTS)
                return request_fail_field(r, ERROR_API_KEY_EXISTS, "name", "You have a key %s already.",
                                          key.name);
        if (error != 0)
                return error < 0 ? error : -ESTALE;
        error = free_and_strdup(&key.username, r->principal.username);
        if (error < 0)
                return error;
        data = api_key_to_json(&key);
        if (!data || json_set(data, "key", json_from_string(token)) < 0)
                return -ENOMEM;
        return request_reply(r, MHD_HTTP_CREATED, TAKE_PTR(data));
}

static int remove_key(Request *r, const ApiKey *key) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = api_key_delete(r->api->store, key->id);
        if (error != 0)
                return error;
        error = change_audit(r, "api_key.delete", key->id, key->name, NULL);
        return error < 0 ? error : store_commit(&tx);
}

int api_key_remove(Request *r) {
        _cleanup_(api_key_done) ApiKey key = API_KEY_NULL;
        int error;

        error = api_key_get(r->api->store, r->id, &key);
        /* Another one's key is as if it did not exist. */
        if (error == 0 && key.user_id != r->principal.user_id && r->principal.role != USER_ADMIN)
                error = STORE_E_NOT_FOUND;
        if (error == 0)
                error = remove_key(r, &key);
        if (error > 0)
                return request_fail(r, ERROR_API_KEY_NOT_FOUND, "There is no API key %" PRIu64 ".", r->id);
        if (error < 0)
                return error;
        streams_check(r->api->streams);
        return request_reply(r, MHD_HTTP_OK, json_object());
}
