/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "store/kit-state.h"
#include "store/node.h"
#include "store/queue.h"
#include "store/run.h"
#include "store/task.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/sibling.h"
#include "services/api/stream.h"

/* Rows that are read in one turn of the loop: everybody else waits for that long. */
#define SLICE 200U
/* Of one family. Beyond this a scraper has other problems. */
#define FAMILY_MAX (16U << 20)
/* Scrapes at a time. */
#define SCRAPES_MAX 4U

int metrics_put_header(Buffer *b, const char *name, const char *type, const char *help) {
        assert(b);
        assert(name);
        assert(type);
        assert(help);

        return buffer_printf(b, "# HELP backupx_%s %s\n# TYPE backupx_%s %s\n", name, help, name, type);
}

static int gauge(Buffer *b, const char *name, const char *help, uint64_t value) {
        int r = metrics_put_header(b, name, "gauge", help);

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

        assert(api);

        r = queue_counts(api->store, 0, &counts);
        if (r < 0)
                return r;
        r = metrics_put_header(b, "queue_depth", "gauge", "Commands that have not ended, by state.");
        if (r >= 0)
                r = buffer_printf(b,
                                  "backupx_queue_depth{state=\"pending\"} %" PRIu64 "\n"
                                  "backupx_queue_depth{state=\"dispatched\"} %" PRIu64 "\n"
                                  "backupx_queue_depth{state=\"accepted\"} %" PRIu64 "\n",
                                  counts.pending, counts.dispatched, counts.accepted);
        if (r >= 0)
                r = metrics_put_header(b, "command_timeouts_total", "counter",
                                       "Commands that were given up after silence.");
        if (r >= 0)
                r = buffer_printf(b, "backupx_command_timeouts_total %" PRIu64 "\n", counts.timeouts_total);
        return r;
}

static int run_metrics(Api *api, Buffer *b) {
        _cleanup_(run_total_list_done) RunTotalList totals = RUN_TOTAL_LIST_NULL;
        uint64_t counts[_RUN_STATE_MAX] = {};
        int r;

        assert(api);

        r = runs_count(api->store, counts);
        if (r >= 0)
                r = metrics_put_header(b, "runs", "gauge", "Runs that are on record, by state.");
        for (int state = 0; state < _RUN_STATE_MAX && r >= 0; state++)
                r = buffer_printf(b, "backupx_runs{state=\"%s\"} %" PRIu64 "\n", run_state_to_string(state),
                                  counts[state]);
        if (r >= 0)
                r = run_totals_list(api->store, &totals);
        if (r >= 0)
                r = metrics_put_header(b, "runs_ended_total", "counter",
                                       "Runs that ended; those that were cleaned up, too.");
        for (size_t i = 0; i < totals.n && r >= 0; i++)
                r = buffer_printf(b,
                                  "backupx_runs_ended_total{kind=\"%s\",type=\"%s\",state=\"%s\"} %" PRIu64
                                  "\n",
                                  run_kind_to_string(totals.items[i].kind), totals.items[i].type,
                                  run_state_to_string(totals.items[i].state), totals.items[i].value);
        return r;
}

static int own_metrics(Api *api, Buffer *b) {
        int r;

        assert(api);

        r = metrics_put_header(b, "build_info", "gauge", "The version of the suite.");
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

static int kit_metrics(Api *api, Buffer *b) {
        KitState kit;
        int r;

        assert(api);

        r = kit_state_read(api->store, &kit);
        if (r < 0)
                return r;
        r = metrics_put_header(b, "recovery_kit_timestamp_seconds", "gauge",
                               "When the last recovery kit was written; 0: never.");
        if (r >= 0)
                r = buffer_printf(b, "backupx_recovery_kit_timestamp_seconds %.3f\n",
                                  (double) kit.written / (double) USEC_PER_SEC);
        if (r >= 0)
                r = metrics_put_header(b, "recovery_kit_missing", "gauge",
                                       "What the last recovery kit does not have.");
        if (r >= 0)
                r = buffer_printf(b,
                                  "backupx_recovery_kit_missing{what=\"repositories\"} %" PRIu64 "\n"
                                  "backupx_recovery_kit_missing{what=\"identities\"} %" PRIu64 "\n"
                                  "backupx_recovery_kit_missing{what=\"targets\"} %" PRIu64 "\n",
                                  kit.repositories, kit.identities, kit.targets);
        return r;
}

/* --- Families: a series for each task or node ----------------------------------------------------- */

typedef struct TaskFamily {
        const char *name;
        const char *help;
        int (*add)(Buffer *b, const TaskSummary *t); /* the value; 0: this task has none */
} TaskFamily;

static int add_seconds(Buffer *b, usec_t t) {
        return buffer_printf(b, "\"} %.3f\n", (double) t / (double) USEC_PER_SEC);
}

static int add_number(Buffer *b, uint64_t v) {
        return buffer_printf(b, "\"} %" PRIu64 "\n", v);
}

static int add_last_success(Buffer *b, const TaskSummary *t) {
        return add_seconds(b, t->last_success);
}

static int add_last_finished(Buffer *b, const TaskSummary *t) {
        return add_seconds(b, t->last_finished);
}

/* 1 only for a whole success: partial is none. */
static int add_last_ok(Buffer *b, const TaskSummary *t) {
        return add_number(b, t->last_run_id != 0 && t->last_state == RUN_SUCCEEDED);
}

static int add_last_state(Buffer *b, const TaskSummary *t) {
        return buffer_printf(b, "\",state=\"%s\"} 1\n",
                             t->last_run_id == 0 ? "none" : run_state_to_string((RunState) t->last_state));
}

static int add_last_bytes(Buffer *b, const TaskSummary *t) {
        return add_number(b, t->last_bytes);
}

static int add_last_duration(Buffer *b, const TaskSummary *t) {
        return add_seconds(b, t->last_duration);
}

static const TaskFamily task_families[] = {
        { "task_last_success_timestamp_seconds", "End of the last run that succeeded; 0: never.",
          add_last_success },
        { "task_last_finished_timestamp_seconds", "End of the last run; 0: never.", add_last_finished },
        { "task_last_run_succeeded", "Whether the newest run succeeded as a whole.", add_last_ok },
        { "task_last_state", "1 for the state of the newest run.", add_last_state },
        { "task_last_bytes", "Bytes that the last run wrote.", add_last_bytes },
        { "task_last_duration_seconds", "How long the last run took.", add_last_duration },
};

typedef struct NodeFamily {
        const char *name;
        const char *type;
        const char *help;
        int (*add)(Buffer *b, const NodeMetric *n);
} NodeFamily;

static int add_online(Buffer *b, const NodeMetric *n) {
        return add_number(b, n->state == NODE_ONLINE);
}

static int add_health(Buffer *b, const NodeMetric *n) {
        return buffer_printf(b, "\",health=\"%s\"} 1\n", node_health_to_string(n->health));
}

static int add_version(Buffer *b, const NodeMetric *n) {
        int r;

        r = buffer_add_string(b, "\",version=\"");
        if (r >= 0)
                r = add_escaped(b, n->version);
        return r < 0 ? r : add_number(b, 1);
}

static int add_depth(Buffer *b, const NodeMetric *n) {
        return add_number(b, n->pending + n->dispatched);
}

static int add_running(Buffer *b, const NodeMetric *n) {
        return add_number(b, n->running);
}

static int add_timeouts(Buffer *b, const NodeMetric *n) {
        return add_number(b, n->timeouts);
}

static const NodeFamily node_families[] = {
        { "node_online", "gauge", "Whether the agent of the node is heard.", add_online },
        { "node_health", "gauge", "1 for the health of the node.", add_health },
        { "node_agent_info", "gauge", "The version of the node's agent.", add_version },
        { "agent_command_queue_depth", "gauge", "Commands that wait for the node, or for its acceptance.",
          add_depth },
        { "agent_command_running", "gauge", "Commands of runs that the node has accepted.", add_running },
        { "agent_command_timeout_total", "counter", "Commands of the node that were given up after silence.",
          add_timeouts },
};

/* One scrape: read in slices, a turn of the loop each, as there may be ten thousand nodes. */
typedef struct Scrape {
        Api *api;
        Request *request;
        sd_event_source *turn;
        uint64_t after_task, after_node;
        bool tasks_done;
        uint64_t nodes[_NODE_STATE_MAX];
        Buffer head;
        Buffer tasks[ELEMENTSOF(task_families)];
        Buffer per_node[ELEMENTSOF(node_families)];
} Scrape;

static int add_task(Scrape *s, const TaskSummary *t) {
        int r = 0;

        assert(s);
        assert(t);

        for (size_t i = 0; i < ELEMENTSOF(task_families) && r >= 0; i++) {
                Buffer *b = &s->tasks[i];

                r = buffer_printf(b, "backupx_%s{task=\"", task_families[i].name);
                if (r >= 0)
                        r = add_escaped(b, t->task_name);
                if (r >= 0)
                        r = buffer_printf(b, "\",task_id=\"%" PRIu64 "\",node=\"", t->task_id);
                if (r >= 0)
                        r = add_escaped(b, t->node_name);
                if (r >= 0)
                        r = task_families[i].add(b, t);
        }
        return r;
}

static int add_node(Scrape *s, const NodeMetric *n) {
        int r = 0;

        assert(s);
        assert(n);

        s->nodes[n->state]++;
        for (size_t i = 0; i < ELEMENTSOF(node_families) && r >= 0; i++) {
                Buffer *b = &s->per_node[i];

                r = buffer_printf(b, "backupx_%s{node_id=\"%" PRIu64 "\",node=\"", node_families[i].name,
                                  n->id);
                if (r >= 0)
                        r = add_escaped(b, n->name);
                if (r >= 0)
                        r = node_families[i].add(b, n);
        }
        return r;
}

/* Positive: there is more. */
static int read_tasks(Scrape *s) {
        _cleanup_(task_summary_list_done) TaskSummaryList list = TASK_SUMMARY_LIST_NULL;
        int r;

        assert(s);

        r = task_summaries_list(s->api->store, s->after_task, SLICE, &list);
        for (size_t i = 0; i < list.n && r >= 0; i++) {
                s->after_task = list.items[i].task_id;
                r = add_task(s, &list.items[i]);
        }
        return r < 0 ? r : list.n == SLICE;
}

static int read_nodes(Scrape *s) {
        _cleanup_(node_metric_list_done) NodeMetricList list = NODE_METRIC_LIST_NULL;
        int r;

        assert(s);

        r = node_metrics_list(s->api->store, s->after_node, SLICE, &list);
        for (size_t i = 0; i < list.n && r >= 0; i++) {
                s->after_node = list.items[i].id;
                r = add_node(s, &list.items[i]);
        }
        return r < 0 ? r : list.n == SLICE;
}

static int total_nodes(Scrape *s) {
        int r;

        assert(s);

        r = gauge(&s->head, "nodes_online", "Nodes whose agent is heard.", s->nodes[NODE_ONLINE]);
        if (r >= 0)
                r = metrics_put_header(&s->head, "nodes", "gauge", "Nodes by state.");
        for (int state = 0; state < _NODE_STATE_MAX && r >= 0; state++)
                r = buffer_printf(&s->head, "backupx_nodes{state=\"%s\"} %" PRIu64 "\n",
                                  node_state_to_string((NodeState) state), s->nodes[state]);
        return r;
}

static int join(Scrape *s) {
        int r = 0;

        assert(s);

        for (size_t i = 0; i < ELEMENTSOF(task_families) && r >= 0; i++) {
                r = metrics_put_header(&s->head, task_families[i].name, "gauge", task_families[i].help);
                if (r >= 0)
                        r = buffer_add(&s->head, strempty(s->tasks[i].data), s->tasks[i].size);
                buffer_done(&s->tasks[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(node_families) && r >= 0; i++) {
                r = metrics_put_header(&s->head, node_families[i].name, node_families[i].type,
                                       node_families[i].help);
                if (r >= 0)
                        r = buffer_add(&s->head, strempty(s->per_node[i].data), s->per_node[i].size);
                buffer_done(&s->per_node[i]);
        }
        return r;
}

/* --- The scrape ----------------------------------------------------------------------------------- */

static Scrape *scrape_free(Scrape *s) {
        if (!s)
                return NULL;
        s->api->metrics.scrapes--;
        sd_event_source_disable_unref(s->turn);
        buffer_done(&s->head);
        for (size_t i = 0; i < ELEMENTSOF(task_families); i++)
                buffer_done(&s->tasks[i]);
        for (size_t i = 0; i < ELEMENTSOF(node_families); i++)
                buffer_done(&s->per_node[i]);
        return mfree(s);
}

DEFINE_CLEANUP(Scrape *, scrape_free);

static void on_cancelled(Request *r, void *userdata) {
        scrape_free(userdata);
}

static int finish(Scrape *s, Request *r) {
        char *text;
        size_t n;
        int error;

        assert(s);

        error = total_nodes(s);
        if (error >= 0)
                error = join(s);
        if (error < 0)
                return error;
        n = s->head.size;
        text = buffer_take(&s->head);
        return text ? request_reply_bytes(r, MHD_HTTP_OK, "text/plain; version=0.0.4", text, n) : -ENOMEM;
}

static int on_turn(sd_event_source *source, void *userdata) {
        Scrape *s = ASSERT_PTR(userdata);
        Request *request = s->request;
        int r;

        r = s->tasks_done ? read_nodes(s) : read_tasks(s);
        if (r == 0 && !s->tasks_done) {
                s->tasks_done = true;
                r = 1;
        }
        if (r > 0)
                r = sd_event_source_set_enabled(s->turn, SD_EVENT_ONESHOT) < 0 ? -EIO : 1;
        if (r > 0)
                return 0;
        request->cancel = NULL;
        request_end(request, r < 0 ? request_fail_errno(request, r) : finish(s, request));
        scrape_free(s);
        return 0;
}

static int scrape_new(Api *api, Scrape **ret) {
        _cleanup_(scrape_freep) Scrape *s = new0(Scrape, 1);
        int r;

        if (!s)
                return -ENOMEM;
        s->api = api;
        api->metrics.scrapes++;
        for (size_t i = 0; i < ELEMENTSOF(task_families); i++)
                s->tasks[i] = BUFFER_LIMITED(FAMILY_MAX);
        for (size_t i = 0; i < ELEMENTSOF(node_families); i++)
                s->per_node[i] = BUFFER_LIMITED(FAMILY_MAX);
        r = own_metrics(api, &s->head);
        if (r >= 0)
                r = queue_metrics(api, &s->head);
        if (r >= 0)
                r = run_metrics(api, &s->head);
        if (r >= 0)
                r = kit_metrics(api, &s->head);
        if (r >= 0)
                r = metrics_put_counted(&api->metrics, &s->head);
        if (r >= 0)
                r = sd_event_add_defer(api->event, &s->turn, on_turn, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int metrics_get(Request *r) {
        Scrape *s;
        int error;

        assert(r);

        if (r->api->metrics.scrapes >= SCRAPES_MAX)
                return request_fail_later(r, ERROR_BUSY, USEC_PER_SEC,
                                          "%u scrapes are on their way. Try again in a moment.",
                                          SCRAPES_MAX);
        error = scrape_new(r->api, &s);
        if (error < 0)
                return error;
        s->request = r;
        request_suspend(r, on_cancelled, s);
        return 0;
}
