/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/audit.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/stream.h"

int change_audit_by(Request *r, uint64_t user_id, const char *username, const char *action,
                    uint64_t object_id, const char *object_name, json_t *detail) {
        _cleanup_json_ json_t *owned = detail;
        _cleanup_(freep) char *text = NULL, *type = NULL;
        int error;

        assert(r);
        assert(action);

        if (owned) {
                error = json_format(owned, &text, NULL);
                if (error < 0)
                        return error;
        }
        type = memdup0(action, strcspn(action, "."));
        if (!type)
                return -ENOMEM;
        return audit_add(r->api->store, &(AuditEntry){
                                                        .at = now_usec(CLOCK_REALTIME),
                                                        .user_id = user_id,
                                                        .username = (char *) username,
                                                        .address = r->address,
                                                        .action = (char *) action,
                                                        .object_type = type,
                                                        .object_id = object_id,
                                                        .object_name = (char *) object_name,
                                                        .detail = text,
                                        });
}

int change_audit(Request *r, const char *action, uint64_t object_id, const char *object_name,
                 json_t *detail) {
        assert(r);

        return change_audit_by(r, r->principal.user_id, r->principal.username, action, object_id,
                               object_name, detail);
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
