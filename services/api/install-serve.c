/* SPDX-License-Identifier: Apache-2.0 */

/* What hosts without an account fetch: the installer behind its link, once, and the agents' packages. People
 * read these answers in a terminal, so refusals are text, too. */

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "store/install-link.h"
#include "store/node.h"

#include "services/api/agent-package.h"
#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/install-private.h"
#include "services/api/throttle.h"

/* --- What a link holds -------------------------------------------------------------------------------- */

void install_gift_done(InstallGift *gift) {
        if (!gift)
                return;
        gift->values = erase_and_free(gift->values);
        gift->compose = erase_and_free(gift->compose);
}

int install_gift_seal(const InstallGift *gift, const char *token, char **ret_sealed) {
        _cleanup_(age_identity_erase) AgeIdentity identity = {};
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_json_ json_t *json = json_object();
        AgeRecipient recipient;
        size_t n;
        int r;

        assert(gift);
        assert(token);
        assert(ret_sealed);

        r = json_set(json, "values", json_from_string(gift->values));
        if (r >= 0)
                r = json_set(json, "compose", json_from_string(gift->compose));
        if (r >= 0)
                r = json_format(json, &text, &n);
        if (r >= 0)
                r = seal_identity_of_token(token, &identity);
        if (r >= 0)
                r = age_identity_recipient(&identity, &recipient);
        return r < 0 ? r : seal(&recipient, text, n, ret_sealed);
}

int install_gift_open(const char *sealed, const char *token, InstallGift *ret) {
        _cleanup_(age_identity_erase) AgeIdentity identity = {};
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        _cleanup_(install_gift_done) InstallGift gift = INSTALL_GIFT_NULL;
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        assert(sealed);
        assert(token);
        assert(ret);

        r = seal_identity_of_token(token, &identity);
        if (r >= 0)
                r = unseal(&identity, sealed, &plain);
        if (r >= 0)
                r = json_parse_strict(plain.data, plain.size, JSON_DEPTH_BODY, &json, NULL);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, NULL);
        json_reader_strdup(&reader, "values", JSON_REQUIRED, SEAL_PLAIN_MAX, &gift.values);
        json_reader_strdup(&reader, "compose", JSON_OPTIONAL, SEAL_PLAIN_MAX, &gift.compose);
        r = json_reader_finish(&reader);
        if (r < 0)
                return r;
        *ret = gift;
        gift = INSTALL_GIFT_NULL;
        return 0;
}

/* --- The link ----------------------------------------------------------------------------------------- */

static int reply_text(Request *r, unsigned status, const char *type, Buffer *text) {
        size_t n = text->size;
        char *data = buffer_take(text);

        return data ? request_reply_bytes(r, status, type, data, n) : -ENOMEM;
}

static int refuse(Request *r, unsigned status, const char *message) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        int error;

        error = buffer_printf(&text, "%s\n", message);
        return error < 0 ? error : reply_text(r, status, "text/plain; charset=utf-8", &text);
}

static int refuse_link(Request *r, int outcome) {
        switch (outcome) {
        case STORE_E_NOT_FOUND:
                return refuse(r, MHD_HTTP_NOT_FOUND,
                              "There is no such install link. Copy the whole address, or make a new link.");
        case INSTALL_LINK_E_EXPIRED:
                return refuse(r, MHD_HTTP_GONE,
                              "This install link has expired. Make a new one for the node.");
        case INSTALL_LINK_E_USED:
                return refuse(r, MHD_HTTP_GONE,
                              "This install link was used: each works once. Make a new one for the node.");
        default:
                return outcome < 0 ? outcome : -EINVAL;
        }
}

/* Everybody may ask, but nobody goes on and on asking for links that are none. */
static int throttled(Request *r, usec_t now) {
        char seconds[24];
        usec_t wait;
        int error;

        assert(r);

        wait = throttle_wait(r->api->throttle, THROTTLE_INSTALL, r->address, now);
        if (wait == 0)
                return 0;
        (void) snprintf(seconds, sizeof(seconds), "%" PRIu64, (wait + USEC_PER_SEC - 1) / USEC_PER_SEC);
        error = refuse(r, MHD_HTTP_TOO_MANY_REQUESTS,
                       "Too many requests for install links that are none came from this address. Wait, and "
                       "try again.");
        return error < 0 ? error : request_add_header(r, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
}

/* Uses the link, and says so in the audit. */
static int use_link(Request *r, const uint8_t hash[static TOKEN_HASH_SIZE], uint64_t node_id, usec_t now) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        int error;

        assert(r);

        error = store_begin(r->api->store, &tx);
        if (error >= 0)
                error = install_link_use(r->api->store, hash, now);
        if (error == 0)
                error = node_get(r->api->store, node_id, &node);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "node.install_fetch", node_id, node.name, NULL);
}

static int find_link(Request *r, const char *token, bool compose, InstallGift *ret) {
        _cleanup_(freep) char *sealed = NULL;
        usec_t now = now_usec(CLOCK_REALTIME);
        uint8_t hash[TOKEN_HASH_SIZE];
        uint64_t node_id;
        int error;

        assert(r);
        assert(ret);

        if (!token_is_valid(token, TOKEN_INSTALL))
                return STORE_E_NOT_FOUND;
        error = token_hash(token, hash);
        if (error >= 0)
                error = install_link_find(r->api->store, hash, now, &node_id, &sealed);
        if (error == 0)
                error = install_gift_open(sealed, token, ret);
        if (error != 0 || r->method == METHOD_HEAD || (compose && !ret->compose))
                return error;
        return use_link(r, hash, node_id, now);
}

static int give_link(Request *r, bool compose) {
        _cleanup_(install_gift_done) InstallGift gift = INSTALL_GIFT_NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        usec_t now = now_usec(CLOCK_MONOTONIC);
        int error;

        assert(r);

        error = throttled(r, now);
        if (error < 0 || r->response)
                return error;
        error = find_link(r, request_param(r, 0), compose, &gift);
        if (error != 0) {
                if (error > 0)
                        throttle_count(r->api->throttle, THROTTLE_INSTALL, r->address, now);
                return refuse_link(r, error);
        }
        if (compose && !gift.compose)
                return refuse(r, MHD_HTTP_NOT_FOUND,
                              "This install link is not for docker: it has no compose.yml.");
        error = compose ? buffer_add_string(&text, gift.compose) : install_add_script(gift.values, &text);
        if (error < 0)
                return error;
        return reply_text(r, MHD_HTTP_OK,
                          compose ? "text/plain; charset=utf-8" : "text/x-shellscript; charset=utf-8",
                          &text);
}

int install_get(Request *r) {
        assert(r);

        return give_link(r, /* compose= */ false);
}

int install_compose_get(Request *r) {
        assert(r);

        return give_link(r, /* compose= */ true);
}

/* --- Packages ----------------------------------------------------------------------------------------- */

int agent_packages_get(Request *r) {
        _cleanup_json_ json_t *list = NULL, *data = json_object();
        int error;

        assert(r);

        error = agent_packages_list(install_folder(r->api), &list);
        if (error >= 0)
                error = json_set(data, "items", TAKE_PTR(list));
        return error < 0 ? error : request_reply(r, MHD_HTTP_OK, TAKE_PTR(data));
}

int agent_package_get(Request *r) {
        uint64_t size = 0;
        int error, fd = -EBADF;

        assert(r);

        error = agent_package_open(install_folder(r->api), request_param(r, 0), &fd, &size);
        if (error == -ENOENT)
                return request_fail(r, ERROR_NOT_FOUND,
                                    "There is no such file of an agent package here. GET "
                                    "/api/v1/agent-package lists them.");
        return error < 0 ? error :
                           request_reply_fd(r, MHD_HTTP_OK, "application/octet-stream", fd, 0, size);
}
