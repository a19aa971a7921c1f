/* SPDX-License-Identifier: Apache-2.0 */
#include "store/stored-repository.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/query.h"

int snapshots_get(Request *r) {
        _cleanup_(stored_snapshot_list_done) StoredSnapshotList list = STORED_SNAPSHOT_LIST_NULL;
        _cleanup_(page_done) Page page = PAGE_NULL;
        StoredSnapshotFilter filter = {};
        int error;

        assert(r);

        error = page_from_request(r, &page);
        if (error >= 0)
                error = query_id(r, "task_id", &filter.task_id);
        if (error >= 0)
                error = query_id(r, "node_id", &filter.node_id);
        if (error >= 0)
                error = query_id(r, "target_id", &filter.target_id);
        if (error >= 0)
                error = stored_snapshots_list(r->api->store, &filter, page.cursor, page_rows(&page), &list);
        if (error < 0)
                return error;
        for (size_t i = 0; i < list.n; i++)
                page_add(&page, list.items[i].key, snapshot_to_json(list.items + i));
        return page_reply(r, &page);
}
