/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/text.h"
#include "store/user.h"
#include "sys/daemon.h"
#include "wire/names.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/sibling.h"

/* The loop runs, or nobody would answer. */
int health_get(Request *r) {
        return request_reply(r, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
}

static int add_reason(json_t *reasons, bool is_bad, const char *text) {
        return is_bad ? json_append(reasons, json_from_string(text)) : 0;
}

/* Whether work would be done: the store answers and the siblings are there. */
int ready_get(Request *r) {
        _cleanup_json_ json_t *reasons = json_array();
        AgeRecipient key;
        bool exist, is_ready;
        int error;

        assert(r);

        error = add_reason(reasons, users_exist(r->api->store, &exist) < 0, "The store does not answer.");
        if (error >= 0)
                error = add_reason(reasons, !sibling_scheduler_is_connected(r->api),
                                   "The scheduler is not reachable.");
        if (error >= 0)
                error = add_reason(reasons, !sibling_dispatcher_is_connected(r->api),
                                   "The dispatcher is not reachable.");
        if (error >= 0)
                error = add_reason(reasons, api_dispatcher_key(r->api, &key) < 0,
                                   "The dispatcher's public key is not there.");
        if (error < 0)
                return error;
        is_ready = json_array_size(reasons) == 0;
        return request_reply(r, is_ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                             json_pack("{s:b, s:O}", "ready", is_ready, "reasons", reasons));
}
