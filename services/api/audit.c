/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "store/audit.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/page.h"

static int query_id(Request *r, const char *name, uint64_t *ret) {
        const char *text = request_query(r, name);
        int error;

        if (!text || parse_u64(text, 1, INT64_MAX, ret) >= 0)
                return 0;
        error = request_fail_field(r, ERROR_QUERY_INVALID, name, "%s is an id.", name);
        return error < 0 ? error : -EBADMSG;
}

int audit_get(Request *r) {
        _cleanup_(audit_list_done) AuditList list = AUDIT_LIST_NULL;
        _cleanup_json_ json_t *items = json_array();
        AuditFilter filter = {
                .object_type = request_query(r, "object_type"),
                .action = request_query(r, "action"),
        };
        size_t n;
        Page page;
        int error;

        error = page_from_request(r, &page);
        if (error >= 0)
                error = query_id(r, "user_id", &filter.user_id);
        if (error >= 0)
                error = query_id(r, "object_id", &filter.object_id);
        if (error < 0)
                return error;
        error = audit_list(r->api->store, &filter, page.cursor, page.limit + 1, &list);
        if (error < 0)
                return error;
        n = MIN(list.n, page.limit);
        for (size_t i = 0; i < n; i++)
                if (json_append(items, audit_entry_to_json(&list.items[i])) < 0)
                        return -ENOMEM;
        return request_reply(r, MHD_HTTP_OK,
                             page_to_json(TAKE_PTR(items), list.n > n, n > 0 ? list.items[n - 1].id : 0));
}
