/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/queue.h"
#include "store/run-log.h"
#include "store/run.h"
#include "store/queue-wait.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/query.h"
#include "services/api/sibling.h"

#define LOG_LINES_DEFAULT 500U
#define LOG_LINES_MAX 1000U

static int fail_run(Request *r) {
        return request_fail(r, ERROR_RUN_NOT_FOUND, "There is no run %" PRIu64 ".", r->id);
}

/* --- Lists ---------------------------------------------------------------------------------------- */

/* "running", "queued,running"; "open" is all that have not ended. */
static int parse_states(const char *text, unsigned *ret) {
        unsigned states = 0;

        for (const char *s = text; *s;) {
                size_t n = strcspn(s, ",");
                _cleanup_(freep) char *word = memdup0(s, n);
                RunState state;

                if (!word)
                        return -ENOMEM;
                state = run_state_from_string(word);
                if (streq(word, "open"))
                        states |= RUN_STATES_OPEN;
                else if (state >= 0)
                        states |= RUN_STATE_BIT(state);
                else
                        return -EINVAL;
                s += n + (s[n] == ',');
        }
        *ret = states;
        return 0;
}

static int query_states(Request *r, RunFilter *filter) {
        const char *text = request_query(r, "state");
        int error;

        error = text ? parse_states(text, &filter->states) : 0;
        if (error != -EINVAL)
                return error;
        return request_refused(request_fail_field(r, ERROR_QUERY_INVALID, "state",
                                                  "state is a list of states of runs, or 'open'."));
}

static int query_kind(Request *r, RunFilter *filter) {
        const char *text = request_query(r, "kind");

        assert(filter);

        if (!text)
                return 0;
        filter->kind = run_kind_from_string(text);
        if (filter->kind >= 0)
                return 0;
        return request_refused(request_fail_field(r, ERROR_QUERY_INVALID, "kind",
                                                  "kind is one of backup, restore, verify, prune."));
}

static int query_filter(Request *r, RunFilter *filter) {
        int error;

        assert(filter);

        error = query_states(r, filter);
        if (error >= 0)
                error = query_kind(r, filter);
        if (error >= 0)
                error = query_id(r, "task_id", &filter->task_id);
        if (error >= 0)
                error = query_id(r, "node_id", &filter->node_id);
        return error;
}

/* Why a run that has a command is queued still: its node says. */
static int explain_wait(Request *r, Run *run) {
        _cleanup_(node_queue_done) NodeQueue queue = NODE_QUEUE_NULL;
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        int error;

        assert(r);
        assert(run);

        if (run->state != RUN_QUEUED || run->waiting || run->command_id == 0)
                return 0;
        error = command_get(r->api->store, run->command_id, &command);
        if (error == 0)
                error = node_get(r->api->store, command.node_id, &node);
        if (error == 0)
                error = node_queue_get(r->api->store, command.node_id, &queue);
        if (error == 0)
                error = queue_waits_for(&command, &node, &queue, &run->waiting);
        return MIN(error, 0);
}

/* A run as it is now: while its command works, with the figures of the newest progress. */
static int show(Request *r, const Run *run, const RunTargetList *targets, json_t **ret) {
        _cleanup_(freep) char *progress = NULL;
        int error;

        assert(r);
        assert(run);

        if (run->command_id != 0 && !run_state_is_final(run->state)) {
                error = command_get_progress(r->api->store, run->command_id, &progress);
                if (error < 0)
                        return error;
        }
        *ret = run_to_json(run, targets, progress);
        return *ret ? 0 : -ENOMEM;
}

int runs_get(Request *r) {
        _cleanup_(run_list_done) RunList list = RUN_LIST_NULL;
        _cleanup_(page_done) Page page = PAGE_NULL;
        RunFilter filter = RUN_FILTER_ALL;
        int error;

        assert(r);

        error = page_from_request(r, &page);
        if (error >= 0)
                error = query_filter(r, &filter);
        if (error < 0)
                return error;
        error = runs_list(r->api->store, &filter, page.cursor, page_rows(&page), &list);
        if (error < 0)
                return error;
        for (size_t i = 0; i < list.n; i++) {
                json_t *item;

                error = show(r, &list.items[i], /* targets= */ NULL, &item);
                if (error < 0)
                        return error;
                page_add(&page, list.items[i].id, item);
        }
        return page_reply(r, &page);
}

/* --- One ------------------------------------------------------------------------------------------ */

int run_get_one(Request *r) {
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        _cleanup_(run_done) Run run = RUN_NULL;
        json_t *data;
        int error;

        assert(r);

        error = run_get(r->api->store, r->id, &run);
        if (error != 0)
                return error < 0 ? error : fail_run(r);
        error = run_targets_get(r->api->store, r->id, &targets);
        if (error >= 0)
                error = explain_wait(r, &run);
        if (error < 0)
                return error;
        error = show(r, &run, &targets, &data);
        return error < 0 ? error : request_reply(r, MHD_HTTP_OK, data);
}

static json_t *logs_to_json(const RunLogList *lines, const Run *run, uint64_t after) {
        _cleanup_json_ json_t *data = json_object(), *items = json_array();

        assert(lines);
        assert(run);

        for (size_t i = 0; i < lines->n; i++)
                if (json_append(items, run_log_line_to_json(&lines->items[i])) < 0)
                        return NULL;
        if (json_set(data, "items", TAKE_PTR(items)) < 0 ||
            json_set(data, "after", json_from_u64(lines->n > 0 ? lines->items[lines->n - 1].seq : after)) <
                            0 ||
            json_set(data, "state", json_from_string(run_state_to_string(run->state))) < 0)
                return NULL;
        return TAKE_PTR(data);
}

/* Lines behind number after; "after" of the answer is where to go on. Nothing more, and a final state: the
 * end. */
int run_logs(Request *r) {
        _cleanup_(run_log_list_done) RunLogList lines = RUN_LOG_LIST_NULL;
        _cleanup_(run_done) Run run = RUN_NULL;
        uint64_t after = 0, limit = LOG_LINES_DEFAULT;
        int error;

        assert(r);

        error = query_number(r, "after", INT64_MAX, &after);
        if (error >= 0)
                error = query_number(r, "limit", LOG_LINES_MAX, &limit);
        if (error < 0)
                return error;
        /* The state first: lines that come between the two are there the next time, and not lost. */
        error = run_get(r->api->store, r->id, &run);
        if (error != 0)
                return error < 0 ? error : fail_run(r);
        error = run_log_list(r->api->store, r->id, after, limit, &lines);
        if (error < 0)
                return error;
        return request_reply(r, MHD_HTTP_OK, logs_to_json(&lines, &run, after));
}

/* --- Start and end -------------------------------------------------------------------------------- */

static void queue_done(Request *r, int error, uint64_t run_id, const Failure *failure) {
        if (error == -EEXIST)
                request_end(r, request_fail(r, ERROR_RUN_OVERLAP, "%s", failure_message(failure, error)));
        else if (error < 0)
                request_end(r, request_fail_failure(r, error, failure));
        else
                request_end(r,
                            request_reply(r, MHD_HTTP_ACCEPTED,
                                          json_pack("{s:I}", "run_id", (json_int_t) run_id)));
}

int task_run(Request *r) {
        _cleanup_json_ json_t *json = json_object();
        _cleanup_(task_done) Task task = TASK_NULL;
        _cleanup_(freep) char *text = NULL;
        int error;

        assert(r);

        error = request_body_none(r);
        if (error < 0)
                return error;
        error = task_get(r->api->store, r->id, &task);
        if (error > 0)
                return request_fail(r, ERROR_TASK_NOT_FOUND, "There is no task %" PRIu64 ".", r->id);
        if (error >= 0)
                error = json_set(json, "kind", json_from_string("backup"));
        if (error >= 0)
                error = json_set(json, "task_id", json_from_u64(r->id));
        if (error >= 0)
                error = json_set(json, "by", change_by(r));
        if (error >= 0)
                error = json_format(json, &text, NULL);
        return error < 0 ? error : sibling_queue_run(r, text, queue_done);
}

static void cancel_done(Request *r, int error, uint64_t id, const Failure *failure) {
        if (error == -EEXIST)
                request_end(r,
                            request_fail(r, ERROR_RUN_ENDED, "Run %" PRIu64 " has ended already.", r->id));
        else if (error < 0)
                request_end(r, request_fail_failure(r, error, failure));
        else
                request_end(r, request_reply(r, MHD_HTTP_ACCEPTED, json_object()));
}

int run_cancel(Request *r) {
        _cleanup_json_ json_t *by = NULL;
        _cleanup_(run_done) Run run = RUN_NULL;
        _cleanup_(freep) char *text = NULL;
        int error;

        assert(r);

        error = request_body_none(r);
        if (error < 0)
                return error;
        error = run_get(r->api->store, r->id, &run);
        if (error != 0)
                return error < 0 ? error : fail_run(r);
        if (run_state_is_final(run.state))
                return request_fail(r, ERROR_RUN_ENDED, "Run %" PRIu64 " has ended already: it is %s.",
                                    r->id, run_state_to_string(run.state));
        by = change_by(r);
        if (!by)
                return -ENOMEM;
        error = json_format(by, &text, NULL);
        return error < 0 ? error : sibling_cancel_run(r, r->id, text, cancel_done);
}
