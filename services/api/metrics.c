/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/buffer.h"
#include "base/text.h"
#include "store/node.h"
#include "store/queue.h"
#include "store/run.h"
#include "store/task.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/sibling.h"
#include "services/api/stream.h"

/* Rows that are asked for at a time: no list is loaded as a whole. */
#define SLICE 200U
/* Beyond this many bytes a scraper has other problems. */
#define METRICS_MAX (16U << 20)

static int header(Buffer *b, const char *name, const char *type, const char *help) {
        return buffer_printf(b, "# HELP backupx_%s %s\n# TYPE backupx_%s %s\n", name, help, name, type);
}

static int gauge(Buffer *b, const char *name, const char *help, uint64_t value) {
        int r = header(b, name, "gauge", help);

        return r < 0 ? r : buffer_printf(b, "backupx_%s %" PRIu64 "\n", name, value);
}

/* A label's value: backslash, quote and line end are escaped (the text format's own rule). */
static int add_escaped(Buffer *b, const char *s) {
        int r = 0;

        for (const char *p = strempty(s); *p && r >= 0; p++)
                if (*p == '\n')
                        r = buffer_add_string(b, "\\n");
                else {
                        if (*p == '\\' || *p == '"')
                                r = buffer_add(b, "\\", 1);
                        if (r >= 0)
                                r = buffer_add(b, p, 1);
                }
        return r;
}

static int queue_metrics(Api *api, Buffer *b) {
        QueueCounts counts;
        int r;

        r = queue_counts(api->store, 0, &counts);
        if (r < 0)
                return r;
        r = header(b, "queue_depth", "gauge", "Commands that have not ended, by state.");
        if (r >= 0)
                r = buffer_printf(b,
                                  "backupx_queue_depth{state=\"pending\"} %" PRIu64 "\n"
                                  "backupx_queue_depth{state=\"dispatched\"} %" PRIu64 "\n"
                                  "backupx_queue_depth{state=\"accepted\"} %" PRIu64 "\n",
                                  counts.pending, counts.dispatched, counts.accepted);
        if (r >= 0)
                r = header(b, "command_timeouts_total", "counter",
                           "Commands that were given up after silence.");
        if (r >= 0)
                r = buffer_printf(b, "backupx_command_timeouts_total %" PRIu64 "\n", counts.timeouts_total);
        return r;
}

static int run_metrics(Api *api, Buffer *b) {
        uint64_t counts[_RUN_STATE_MAX] = {};
        int r;

        r = runs_count(api->store, counts);
        if (r >= 0)
                r = header(b, "runs", "gauge", "Runs by state.");
        for (int state = 0; state < _RUN_STATE_MAX && r >= 0; state++)
                r = buffer_printf(b, "backupx_runs{state=\"%s\"} %" PRIu64 "\n", run_state_to_string(state),
                                  counts[state]);
        return r;
}

static int node_metrics(Api *api, Buffer *b) {
        uint64_t after = 0, counts[_NODE_STATE_MAX] = {};
        int r;

        for (bool more = true; more;) {
                _cleanup_(node_list_done) NodeList list = NODE_LIST_NULL;

                r = nodes_list(api->store, after, SLICE, &list);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < list.n; i++)
                        counts[list.items[i].state]++;
                more = list.n == SLICE;
                if (more)
                        after = list.items[list.n - 1].id;
        }
        r = gauge(b, "nodes_online", "Nodes whose agent is heard.", counts[NODE_ONLINE]);
        if (r >= 0)
                r = header(b, "nodes", "gauge", "Nodes by state.");
        for (int state = 0; state < _NODE_STATE_MAX && r >= 0; state++)
                r = buffer_printf(b, "backupx_nodes{state=\"%s\"} %" PRIu64 "\n",
                                  node_state_to_string(state), counts[state]);
        return r;
}

/* --- Tasks ---------------------------------------------------------------------------------------- */

typedef struct TaskMetric {
        const char *name;
        const char *help;
        int (*add)(Buffer *b, const TaskSummary *t);
} TaskMetric;

static int add_last_success(Buffer *b, const TaskSummary *t) {
        return buffer_printf(b, "%.3f", (double) t->last_success / (double) USEC_PER_SEC);
}

static int add_last_finished(Buffer *b, const TaskSummary *t) {
        return buffer_printf(b, "%.3f", (double) t->last_finished / (double) USEC_PER_SEC);
}

static int add_last_bytes(Buffer *b, const TaskSummary *t) {
        return buffer_printf(b, "%" PRIu64, t->last_bytes);
}

static int add_last_duration(Buffer *b, const TaskSummary *t) {
        return buffer_printf(b, "%.3f", (double) t->last_duration / (double) USEC_PER_SEC);
}

/* 1 only for a whole success: partial is none. */
static int add_last_ok(Buffer *b, const TaskSummary *t) {
        return buffer_printf(b, "%d", t->last_run_id != 0 && t->last_state == RUN_SUCCEEDED);
}

static const TaskMetric task_metrics[] = {
        { "task_last_success_timestamp_seconds", "End of the last run that succeeded; 0: never.",
          add_last_success },
        { "task_last_finished_timestamp_seconds", "End of the last run; 0: never.", add_last_finished },
        { "task_last_run_succeeded", "Whether the newest run succeeded as a whole.", add_last_ok },
        { "task_last_bytes", "Bytes that the last run wrote.", add_last_bytes },
        { "task_last_duration_seconds", "How long the last run took.", add_last_duration },
};

static int add_task(Buffer *b, const TaskMetric *metric, const TaskSummary *t) {
        int r;

        r = buffer_printf(b, "backupx_%s{task=\"", metric->name);
        if (r >= 0)
                r = add_escaped(b, t->task_name);
        if (r >= 0)
                r = buffer_printf(b, "\",task_id=\"%" PRIu64 "\",node=\"", t->task_id);
        if (r >= 0)
                r = add_escaped(b, t->node_name);
        if (r >= 0)
                r = buffer_add_string(b, "\"} ");
        if (r >= 0)
                r = metric->add(b, t);
        return r < 0 ? r : buffer_add(b, "\n", 1);
}

static int add_tasks(Api *api, Buffer *b, const TaskMetric *metric) {
        uint64_t after = 0;
        int r;

        r = header(b, metric->name, "gauge", metric->help);
        if (r < 0)
                return r;
        for (bool more = true; more;) {
                _cleanup_(task_summary_list_done) TaskSummaryList list = TASK_SUMMARY_LIST_NULL;

                r = task_summaries_list(api->store, after, SLICE, &list);
                for (size_t i = 0; i < list.n && r >= 0; i++)
                        r = add_task(b, metric, &list.items[i]);
                if (r < 0)
                        return r;
                more = list.n == SLICE;
                if (more)
                        after = list.items[list.n - 1].task_id;
        }
        return 0;
}

static int own_metrics(Api *api, Buffer *b) {
        int r;

        r = header(b, "build_info", "gauge", "The version of the suite.");
        if (r >= 0)
                r = buffer_add_string(b, "backupx_build_info{version=\"" BACKUPX_VERSION "\"} 1\n");
        if (r >= 0)
                r = gauge(b, "waiting_agents", "Agents whose long poll waits.", api_waiting_agents(api));
        if (r >= 0)
                r = gauge(b, "open_streams", "Event streams of people.", streams_count(api->streams));
        if (r >= 0)
                r = gauge(b, "connections", "HTTP connections.", server_connections(api->server));
        if (r >= 0)
                r = gauge(b, "scheduler_up", "Whether the scheduler is reachable.",
                          sibling_scheduler_is_connected(api));
        if (r >= 0)
                r = gauge(b, "dispatcher_up", "Whether the dispatcher is reachable.",
                          sibling_dispatcher_is_connected(api));
        return r;
}

int metrics_get(Request *r) {
        _cleanup_buffer_ Buffer b = BUFFER_LIMITED(METRICS_MAX);
        size_t n;
        char *text;
        int error;

        error = own_metrics(r->api, &b);
        if (error >= 0)
                error = queue_metrics(r->api, &b);
        if (error >= 0)
                error = run_metrics(r->api, &b);
        if (error >= 0)
                error = node_metrics(r->api, &b);
        for (size_t i = 0; i < ELEMENTSOF(task_metrics) && error >= 0; i++)
                error = add_tasks(r->api, &b, &task_metrics[i]);
        if (error < 0)
                return error;
        n = b.size;
        text = buffer_take(&b);
        return text ? request_reply_bytes(r, MHD_HTTP_OK, "text/plain; version=0.0.4", text, n) : -ENOMEM;
}
