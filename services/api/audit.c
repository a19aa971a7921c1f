/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "store/audit.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/query.h"

int audit_get(Request *r) {
        _cleanup_(audit_list_done) AuditList list = AUDIT_LIST_NULL;
        _cleanup_(page_done) Page page = PAGE_NULL;
        AuditFilter filter = {
                .object_type = request_query(r, "object_type"),
                .action = request_query(r, "action"),
        };
        int error;

        assert(r);

        error = page_from_request(r, &page);
        if (error >= 0)
                error = query_id(r, "user_id", &filter.user_id);
        if (error >= 0)
                error = query_id(r, "object_id", &filter.object_id);
        if (error < 0)
                return error;
        error = audit_list(r->api->store, &filter, page.cursor, page_rows(&page), &list);
        if (error < 0)
                return error;
        for (size_t i = 0; i < list.n; i++)
                page_add(&page, list.items[i].id, audit_entry_to_json(&list.items[i]));
        return page_reply(r, &page);
}
