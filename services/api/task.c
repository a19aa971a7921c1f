/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/database.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/query.h"
#include "services/api/secrets.h"
#include "services/api/sibling.h"

static int fail_task(Request *r, int outcome, const Task *task) {
        assert(r);
        assert(task);

        switch (outcome) {
        case STORE_E_NOT_FOUND:
                return request_fail(r, ERROR_TASK_NOT_FOUND, "There is no task %" PRIu64 ".", r->id);
        case STORE_E_EXISTS:
                return request_fail_field(r, ERROR_TASK_EXISTS, "name", "There is a task %s already.",
                                          task->name);
        case TASK_E_NODE:
                return request_fail_field(r, ERROR_FIELD_INVALID, "node_id", "There is no node %" PRIu64 ".",
                                          task->node_id);
        case TASK_E_TARGET:
                return request_fail_field(r, ERROR_FIELD_INVALID, "target_ids",
                                          "One of these targets does not exist.");
        case TASK_E_RUNNING:
                return request_fail(r, ERROR_TASK_RUNNING,
                                    "A run of the task %s has not ended: cancel it first, or wait.",
                                    task->name);
        default:
                return outcome < 0 ? outcome : -EINVAL;
        }
}

/* A task with what its schedule and its runs say. */
static int show(Request *r, const Task *task, json_t **ret) {
        _cleanup_(task_summary_list_done) TaskSummaryList summaries = TASK_SUMMARY_LIST_NULL;
        _cleanup_(schedule_done) Schedule schedule = SCHEDULE_NULL, verify = SCHEDULE_NULL;
        int error, has_schedule, has_verify;
        bool has_summary;

        assert(r);
        assert(task);

        has_schedule = schedule_get(r->api->store, SCHEDULE_BACKUP, task->id, &schedule);
        if (has_schedule < 0)
                return has_schedule;
        has_verify = schedule_get(r->api->store, SCHEDULE_VERIFY, task->id, &verify);
        if (has_verify < 0)
                return has_verify;
        error = task_summaries_list(r->api->store, task->id - 1, 1, &summaries);
        if (error < 0)
                return error;
        has_summary = summaries.n > 0 && summaries.items[0].task_id == task->id;
        *ret = task_to_json(task, has_schedule == 0 ? &schedule : NULL, has_verify == 0 ? &verify : NULL,
                            has_summary ? &summaries.items[0] : NULL);
        return *ret ? 0 : -ENOMEM;
}

static int reply_task(Request *r, unsigned status, uint64_t id) {
        _cleanup_(task_done) Task task = TASK_NULL;
        json_t *data;
        int error;

        assert(r);

        error = task_get(r->api->store, id, &task);
        if (error != 0)
                return fail_task(r, error, &task);
        error = show(r, &task, &data);
        return error < 0 ? error : request_reply(r, status, data);
}

static int list(Request *r, const Page *page, TaskList *ret) {
        uint64_t node_id = 0;
        int error;

        assert(r);
        assert(page);

        error = query_id(r, "node_id", &node_id);
        if (error < 0)
                return error;
        if (node_id == 0)
                return tasks_list(r->api->store, page->cursor, page_rows(page), ret);
        return tasks_list_of_node(r->api->store, node_id, page->cursor, page_rows(page), ret);
}

int tasks_get(Request *r) {
        _cleanup_(task_list_done) TaskList tasks = TASK_LIST_NULL;
        _cleanup_(page_done) Page page = PAGE_NULL;
        int error;

        error = page_from_request(r, &page);
        if (error < 0)
                return error;
        error = list(r, &page, &tasks);
        if (error < 0)
                return error;
        for (size_t i = 0; i < tasks.n; i++) {
                json_t *item;

                error = show(r, &tasks.items[i], &item);
                if (error < 0)
                        return error;
                page_add(&page, tasks.items[i].id, item);
        }
        return page_reply(r, &page);
}

int task_get_one(Request *r) {
        return reply_task(r, MHD_HTTP_OK, r->id);
}

/* A relay holds a part of what it sends until the master has it: of this many together the memory of a job
 * stays within its limit. Targets that do not exist are the store's to refuse. */
int task_check_relays(Request *r, const Task *task) {
        unsigned n = 0;

        assert(r);
        assert(task);

        for (size_t i = 0; i < task->n_targets; i++) {
                _cleanup_(target_done) Target target = TARGET_NULL;
                int error;

                error = target_get(r->api->store, task->target_ids[i], &target);
                if (error < 0)
                        return error;
                if (error == 0 && streq(target.type, "relay"))
                        n++;
        }
        if (n <= TASK_RELAYS_MAX)
                return 0;
        return request_refused(request_fail_field(
                        r, ERROR_FIELD_INVALID, "target_ids",
                        "%u of these targets go through the master, and a task may have %d such: each "
                        "takes 8 MiB of memory on the node.",
                        n, TASK_RELAYS_MAX));
}

static int read_task(Request *r, Task *task, char **ret_sealed) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        const json_t *secrets = NULL;
        int error;

        error = request_body_json(r, &body);
        secrets_wipe(r);
        if (error < 0)
                return error;
        error = request_check(r, task_from_json(body, task, &secrets, &failure), &failure);
        if (error >= 0 && secrets)
                error = secrets_seal(r, secrets, ret_sealed);
        else if (error >= 0 && task->has_secrets &&
                 !source_type_has_server(source_type_from_string(task->type)))
                error = (*ret_sealed = strdup("")) ? 0 : -ENOMEM;
        return error < 0 ? error : task_check_relays(r, task);
}

/* --- Changes -------------------------------------------------------------------------------------- */

/* sealed: NULL keeps what is there. */
static int write_task(Request *r, Task *task, const char *sealed, bool is_new) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(task);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        task->updated = now_usec(CLOCK_REALTIME);
        if (is_new)
                task->created = task->updated;
        error = is_new ? task_add(r->api->store, task, &task->id) : task_update(r->api->store, task);
        if (error == 0 && sealed)
                error = task_set_secrets(r->api->store, task->id, isempty(sealed) ? NULL : sealed);
        if (error != 0)
                return error;
        return change_commit(r, &tx, is_new ? "task.create" : "task.update", task->id, task->name,
                             task_to_json(task, NULL, NULL, NULL));
}

static void tell(Request *r, uint64_t id, const char *change) {
        sibling_tasks_changed(r->api);
        change_tell(r, "task", id, change);
}

int tasks_post(Request *r) {
        _cleanup_(task_done) Task task = TASK_NULL;
        _cleanup_(freep) char *sealed = NULL;
        int error;

        error = task_init(&task);
        if (error < 0)
                return error;
        error = read_task(r, &task, &sealed);
        if (error < 0)
                return error;
        error = write_task(r, &task, sealed, /* is_new= */ true);
        if (error != 0)
                return fail_task(r, error, &task);
        tell(r, task.id, "created");
        return reply_task(r, MHD_HTTP_CREATED, task.id);
}

int task_put(Request *r) {
        _cleanup_(task_done) Task task = TASK_NULL;
        _cleanup_(freep) char *sealed = NULL;
        int error;

        assert(r);

        error = task_get(r->api->store, r->id, &task);
        if (error != 0)
                return fail_task(r, error, &task);
        error = read_task(r, &task, &sealed);
        if (error < 0)
                return error;
        error = write_task(r, &task, sealed, /* is_new= */ false);
        if (error != 0)
                return fail_task(r, error, &task);
        tell(r, task.id, "updated");
        return reply_task(r, MHD_HTTP_OK, task.id);
}

int task_remove(Request *r) {
        _cleanup_(task_done) Task task = TASK_NULL;
        int error;

        assert(r);

        error = task_get(r->api->store, r->id, &task);
        if (error == 0)
                error = change_delete(r, task_delete, "task.delete", task.id, task.name);
        if (error != 0)
                return fail_task(r, error, &task);
        tell(r, task.id, "deleted");
        return request_reply(r, MHD_HTTP_OK, json_object());
}
