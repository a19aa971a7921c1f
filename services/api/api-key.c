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
        _cleanup_(page_done) Page page = PAGE_NULL;
        uint64_t owner = r->principal.role == USER_ADMIN ? 0 : r->principal.user_id;
        int error;

        error = page_from_request(r, &page);
        if (error < 0)
                return error;
        error = api_keys_list(r->api->store, owner, page.cursor, page_rows(&page), &list);
        if (error < 0)
                return error;
        for (size_t i = 0; i < list.n; i++)
                page_add(&page, list.items[i].id, api_key_to_json(&list.items[i]));
        return page_reply(r, &page);
}

/* Reads the body and checks what goes beyond its form. */
static int read_key(Request *r, ApiKey *key) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        int error;

        assert(r);
        assert(key);

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        key->role = r->principal.role;
        key->user_id = r->principal.user_id;
        key->created = now_usec(CLOCK_REALTIME);
        error = api_key_from_json(body, key, &failure);
        if (error < 0)
                return request_check(r, error, &failure);
        if (key->role > r->principal.role)
                return request_refused(request_fail_field(r, ERROR_FORBIDDEN, "role",
                                                          "A key cannot have more power than you have."));
        if (key->expires != 0 && key->expires <= key->created)
                return request_refused(request_fail_field(r, ERROR_FIELD_INVALID, "expires_at",
                                                          "This time has passed."));
        return 0;
}

static int add(Request *r, ApiKey *key, const uint8_t hash[static TOKEN_HASH_SIZE]) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(key);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = api_key_add(r->api->store, key, hash, &key->id);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "api_key.create", key->id, key->name,
                             json_pack("{s:s}", "role", user_role_to_string(key->role)));
}

int api_keys_post(Request *r) {
        _cleanup_(api_key_done) ApiKey key = API_KEY_NULL;
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_json_ json_t *data = NULL;
        uint8_t hash[TOKEN_HASH_SIZE];
        int error;

        assert(r);

        error = read_key(r, &key);
        if (error < 0)
                return error;
        error = token_new_hashed(TOKEN_API_KEY, &token, hash);
        if (error >= 0)
                error = add(r, &key, hash);
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

int api_key_remove(Request *r) {
        _cleanup_(api_key_done) ApiKey key = API_KEY_NULL;
        int error;

        assert(r);

        error = api_key_get(r->api->store, r->id, &key);
        /* Another one's key is as if it did not exist. */
        if (error == 0 && key.user_id != r->principal.user_id && r->principal.role != USER_ADMIN)
                error = STORE_E_NOT_FOUND;
        if (error == 0)
                error = change_delete(r, api_key_delete, "api_key.delete", key.id, key.name);
        if (error > 0)
                return request_fail(r, ERROR_API_KEY_NOT_FOUND, "There is no API key %" PRIu64 ".", r->id);
        if (error < 0)
                return error;
        streams_check(r->api->streams);
        return request_reply(r, MHD_HTTP_OK, json_object());
}
