/* SPDX-License-Identifier: Apache-2.0 */

/* What waits and what is out: all open commands, and the queued runs that have none yet. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/queue-wait.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/query.h"

/* Runs without a command are few: their label has no node, or their node no key. */
#define UNASSIGNED_MAX 500U

typedef struct QueueView {
        Store *store;
        ApiStamp api;
        Stamp mono;
        usec_t wall;
} QueueView;

static int open_view(Request *r, QueueView *ret) {
        int error;

        *ret = (QueueView){ .store = r->api->store, .wall = now_usec(CLOCK_REALTIME) };
        error = stamp_now(&ret->mono);
        if (error >= 0)
                error = api_stamp_get(ret->store, &ret->api);
        return MIN(error, 0);
}

static int show_command(const QueueView *v, const Command *c, json_t **ret) {
        _cleanup_(node_queue_done) NodeQueue queue = NODE_QUEUE_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(freep) char *waits_for = NULL;
        _cleanup_(run_done) Run run = RUN_NULL;
        QueueItem item;
        int error = 0;

        assert(v);
        assert(c);

        if (c->run_id > 0)
                error = run_get(v->store, c->run_id, &run);
        if (error >= 0)
                error = node_get(v->store, c->node_id, &node);
        if (error == 0)
                error = node_queue_get(v->store, c->node_id, &queue);
        if (error == 0)
                error = queue_waits_for(c, &node, &queue, &waits_for);
        if (error < 0)
                return error;
        item = (QueueItem){
                .command = c,
                .task_name = run.task_name,
                .node_name = node.name,
                .silence = stamp_silence(&c->heard, &v->api, &v->mono),
                .waits_for = waits_for,
        };
        *ret = queue_item_to_json(&item, v->wall);
        return *ret ? 0 : -ENOMEM;
}

static json_t *show_unassigned(const QueueView *v, const Run *run) {
        const Command c = {
                .run_id = run->id,
                .node_id = run->node_id,
                .kind = (char *) run_kind_to_string(run->kind),
                .state = COMMAND_PENDING,
                .created = run->queued,
                .deadline = run->deadline,
                .cancel = run->cancel,
        };
        const QueueItem item = {
                .command = &c,
                .task_name = run->task_name,
                .node_name = run->node_name,
                .waits_for = run->waiting ? run->waiting : "the dispatcher",
        };

        assert(v);

        return queue_item_to_json(&item, v->wall);
}

static int list_unassigned(const QueueView *v, uint64_t node_id, json_t **ret) {
        _cleanup_(run_work_list_done) RunWorkList list = RUN_WORK_LIST_NULL;
        _cleanup_json_ json_t *array = json_array();
        int error;

        assert(v);

        error = runs_list_work(v->store, 0, UNASSIGNED_MAX, &list);
        for (size_t i = 0; i < list.n && error >= 0; i++) {
                const Run *run = &list.items[i].run;

                if (list.items[i].command_state >= 0 || run->state != RUN_QUEUED ||
                    (node_id > 0 && run->node_id != node_id))
                        continue;
                error = json_append(array, show_unassigned(v, run));
        }
        if (error < 0)
                return error;
        *ret = TAKE_PTR(array);
        return 0;
}

static int counts_to_json(const QueueView *v, uint64_t node_id, json_t **ret) {
        QueueCounts counts;
        int error;

        assert(v);

        error = queue_counts(v->store, node_id, &counts);
        if (error < 0)
                return error;
        *ret = json_pack("{s:I, s:I, s:I, s:I}", "pending", (json_int_t) counts.pending, "dispatched",
                         (json_int_t) counts.dispatched, "accepted", (json_int_t) counts.accepted,
                         "timeouts_total", (json_int_t) counts.timeouts_total);
        return *ret ? 0 : -ENOMEM;
}

static int list_commands(const QueueView *v, uint64_t node_id, Page *page) {
        const CommandFilter filter = { .open = true, .node_id = node_id };
        _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
        int error;

        assert(v);
        assert(page);

        error = queue_list(v->store, &filter, page->cursor, page_rows(page), &list);
        for (size_t i = 0; i < list.n && error >= 0; i++) {
                json_t *item;

                error = show_command(v, &list.items[i], &item);
                if (error >= 0)
                        page_add(page, list.items[i].id, item);
        }
        return error;
}

int queue_get(Request *r) {
        _cleanup_json_ json_t *unassigned = NULL, *counts = NULL, *more = json_object();
        _cleanup_(page_done) Page page = PAGE_NULL;
        uint64_t node_id = 0;
        QueueView view;
        int error;

        error = page_from_request(r, &page);
        if (error >= 0)
                error = query_id(r, "node_id", &node_id);
        if (error >= 0)
                error = open_view(r, &view);
        if (error >= 0)
                error = list_commands(&view, node_id, &page);
        if (error >= 0)
                error = list_unassigned(&view, node_id, &unassigned);
        if (error >= 0)
                error = counts_to_json(&view, node_id, &counts);
        if (error >= 0)
                error = json_set(more, "unassigned", TAKE_PTR(unassigned));
        if (error >= 0)
                error = json_set(more, "counts", TAKE_PTR(counts));
        return error < 0 ? error : page_reply_with(r, &page, more);
}
