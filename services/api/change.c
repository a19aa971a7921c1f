/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/audit.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/stream.h"

/* Fills in what all rows have; type is what stands before the dot of the action. */
static int add(Request *r, AuditEntry *e) {
        _cleanup_(freep) char *type = memdup0(e->action, strcspn(e->action, "."));

        if (!type)
                return -ENOMEM;
        e->at = now_usec(CLOCK_REALTIME);
        e->address = r->address;
        e->object_type = type;
        return audit_add(r->api->store, e);
}

int change_audit(Request *r, const char *action, uint64_t object_id, const char *object_name,
                 json_t *detail) {
        _cleanup_json_ json_t *owned = detail;
        _cleanup_(freep) char *text = NULL;
        AuditEntry e = {
                .action = (char *) action,
                .object_id = object_id,
                .object_name = (char *) object_name,
        };
        int error;

        assert(r);
        assert(action);

        if (owned) {
                error = json_format(owned, &text, NULL);
                if (error < 0)
                        return error;
        }
        e.user_id = r->principal.user_id;
        e.username = r->principal.username;
        e.detail = text;
        return add(r, &e);
}

int change_commit(Request *r, StoreTx *tx, const char *action, uint64_t object_id, const char *object_name,
                  json_t *detail) {
        int error;

        assert(tx);

        error = change_audit(r, action, object_id, object_name, detail);
        return error < 0 ? error : store_commit(tx);
}

int change_delete(Request *r, ChangeDelete *drop, const char *action, uint64_t object_id,
                  const char *object_name) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(drop);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = drop(r->api->store, object_id);
        if (error != 0)
                return error;
        return change_commit(r, &tx, action, object_id, object_name, NULL);
}

int change_audit_self(Request *r, uint64_t user_id, const char *username, const char *action) {
        AuditEntry e = {
                .user_id = user_id,
                .username = (char *) username,
                .action = (char *) action,
                .object_id = user_id,
                .object_name = (char *) username,
        };

        assert(r);
        assert(action);

        return add(r, &e);
}

json_t *change_by(const Request *r) {
        _cleanup_json_ json_t *by = json_object();

        assert(r);

        if (json_set(by, "user_id", json_from_u64(r->principal.user_id)) < 0 ||
            json_set(by, "username", json_from_string(strempty(r->principal.username))) < 0 ||
            json_set(by, "address", json_from_string(r->address)) < 0)
                return NULL;
        return TAKE_PTR(by);
}

void change_tell(Request *r, const char *name, uint64_t id, const char *change) {
        _cleanup_json_ json_t *json = json_object();

        assert(r);
        assert(name);
        assert(change);

        if (json_set(json, "id", json_from_u64(id)) < 0 ||
            json_set(json, "change", json_from_string(change)) < 0)
                return;
        streams_send(r->api->streams, name, TAKE_PTR(json));
}
