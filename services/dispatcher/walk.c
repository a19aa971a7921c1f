/* SPDX-License-Identifier: Apache-2.0 */

#include "services/dispatcher/dispatcher.h"

int dispatcher_each_open(Dispatcher *d, uint64_t node_id, CommandFunc func, void *userdata) {
        const CommandFilter filter = { .node_id = node_id, .open = true };
        uint64_t after = 0;

        assert(d);
        assert(func);

        for (;;) {
                _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
                int r;

                r = queue_list(d->store, &filter, after, DISPATCHER_PAGE, &list);
                for (size_t i = 0; i < list.n && r >= 0; i++) {
                        after = list.items[i].id;
                        r = func(d, list.items + i, userdata);
                }
                if (r < 0)
                        return r;
                if (list.n < DISPATCHER_PAGE)
                        return 0;
        }
}
