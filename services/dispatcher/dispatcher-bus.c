/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <systemd/sd-bus.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/dispatcher.h"
#include "store/queue-wait.h"
#include "sys/daemon.h"
#include "wire/names.h"

/* What one reply lists at most; a message has its limits, and a person has them, too. */
#define LIST_MAX 10000U

/* The one place where outcomes become error names. */
static int reply_failure(sd_bus_error *error, int r, const Failure *failure) {
        static const struct {
                int result;
                const char *name;
                const char *text;
        } table[] = {
                { STORE_E_NOT_FOUND, BUS_ERROR_NOT_FOUND, "There is no such object" },
                { STORE_E_STATE, BUS_ERROR_CONFLICT, "It has ended already" },
                { NODE_E_KEY_MISMATCH, BUS_ERROR_CONFLICT, "Another key is pinned for this node" },
                { QUEUE_E_FULL, BUS_ERROR_LIMIT_EXCEEDED, "This node has too many commands waiting" },
                { -EBADMSG, BUS_ERROR_INVALID_ARGUMENT, NULL },
                { -EINVAL, BUS_ERROR_INVALID_ARGUMENT, NULL },
                { -EBUSY, BUS_ERROR_UNAVAILABLE, NULL },
                { -ENOSPC, BUS_ERROR_UNAVAILABLE, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].result == r)
                        return sd_bus_error_set(error, table[i].name,
                                                failure_is_set(failure) || !table[i].text ?
                                                                failure_message(failure, r > 0 ? 0 : r) :
                                                                table[i].text);
        return sd_bus_error_set(error, BUS_ERROR_INTERNAL, failure_message(failure, r > 0 ? 0 : r));
}

/* A probe that cannot be: told by the failure's code. */
static int reply_refused(sd_bus_error *error, const Failure *failure) {
        const char *name = BUS_ERROR_CONFLICT;

        assert(failure);

        if (endswith(failure->code, "_NOT_FOUND"))
                name = BUS_ERROR_NOT_FOUND;
        else if (streq(failure->code, "NODE_OFFLINE"))
                name = BUS_ERROR_NODE_OFFLINE;
        else if (streq(failure->code, "NODE_KEY_MISSING") ||
                 streq(failure->code, "ARCHIVE_UNREACHABLE"))
                name = BUS_ERROR_UNAVAILABLE;
        return sd_bus_error_set(error, name, failure_message(failure, 0));
}

/* Who called, as far as the bus can tell. */
static int name_caller(sd_bus_message *m, Actor *ret) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;
        int r;

        assert(ret);

        r = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &uid);
        if (r < 0)
                return asprintf_safe(&ret->username, "bus");
        return uid == 0 ? asprintf_safe(&ret->username, "root") :
                          asprintf_safe(&ret->username, "uid %u", uid);
}

/* --- Reading --- */

/* command (0: none yet), run (0: a probe), node, kind, state, attempt, queued at, deadline (0: none), what
 * it waits for */
#define QUEUE_TYPE "(ttsssutts)"

static int append_command(sd_bus_message *reply, Dispatcher *d, const Command *c) {
        _cleanup_(node_queue_done) NodeQueue queue = NODE_QUEUE_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(freep) char *waits_for = NULL;
        int r;

        assert(d);
        assert(c);

        r = node_get(d->store, c->node_id, &node);
        if (r == 0)
                r = node_queue_get(d->store, c->node_id, &queue);
        if (r == 0)
                r = queue_waits_for(c, &node, &queue, &waits_for);
        if (r < 0)
                return r;
        return sd_bus_message_append(reply, QUEUE_TYPE, c->id, c->run_id, strempty(node.name),
                                     strempty(c->kind), command_state_to_string(c->state), c->attempt,
                                     c->created, c->deadline, strempty(waits_for));
}

/* Queued runs that have no command yet. */
static int append_unassigned(sd_bus_message *reply, Dispatcher *d) {
        _cleanup_(run_work_list_done) RunWorkList list = RUN_WORK_LIST_NULL;
        int r;

        assert(d);

        r = runs_list_work(d->store, 0, DISPATCHER_PAGE, &list);
        for (size_t i = 0; i < list.n && r >= 0; i++) {
                const Run *run = &list.items[i].run;

                if (list.items[i].command_state < 0 && run->state == RUN_QUEUED)
                        r = sd_bus_message_append(reply, QUEUE_TYPE, UINT64_C(0), run->id,
                                                  strempty(run->node_name), run_kind_to_string(run->kind),
                                                  command_state_to_string(COMMAND_PENDING), 0U, run->queued,
                                                  run->deadline, strempty(run->waiting));
        }
        return r;
}

static int append_queue(sd_bus_message *reply, void *userdata) {
        const CommandFilter filter = { .open = true };
        Dispatcher *d = ASSERT_PTR(userdata);
        uint64_t after = 0;

        for (unsigned n = 0; n < LIST_MAX;) {
                _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
                int r;

                r = queue_list(d->store, &filter, after, DISPATCHER_PAGE, &list);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < list.n; i++, n++) {
                        after = list.items[i].id;
                        r = append_command(reply, d, list.items + i);
                        if (r < 0)
                                return r;
                }
                if (list.n < DISPATCHER_PAGE)
                        break;
        }
        return append_unassigned(reply, d);
}

static int append_nodes(sd_bus_message *reply, void *userdata) {
        Dispatcher *d = ASSERT_PTR(userdata);
        uint64_t after = 0;

        for (unsigned n = 0; n < LIST_MAX;) {
                _cleanup_(node_list_done) NodeList list = NODE_LIST_NULL;
                int r;

                r = nodes_list(d->store, after, DISPATCHER_PAGE, &list);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < list.n; i++, n++) {
                        const Node *node = list.items + i;

                        after = node->id;
                        r = sd_bus_message_append(reply, "(tssst)", node->id, strempty(node->name),
                                                  node_state_to_string(node->state),
                                                  node_health_to_string(node->health), node->last_seen);
                        if (r < 0)
                                return r;
                }
                if (list.n < DISPATCHER_PAGE)
                        break;
        }
        return 0;
}

static int method_list_queue(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return bus_reply_array(m, QUEUE_TYPE, append_queue, userdata, error);
}

static int method_list_nodes(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return bus_reply_array(m, "(tssst)", append_nodes, userdata, error);
}

/* --- Changing --- */

static int method_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(actor_done) Actor by = ACTOR_NULL;
        Dispatcher *d = ASSERT_PTR(userdata);
        uint64_t run;
        int r;

        r = bus_take(m, BUS_CHANGE, error, "t", &run);
        if (r < 0)
                return r;
        r = name_caller(m, &by);
        if (r < 0)
                return r;
        r = dispatcher_cancel(d, run, &by);
        if (r != 0)
                return reply_failure(error, r, NULL);
        return sd_bus_reply_method_return(m, "");
}

static int method_cancel_run(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(actor_done) Actor by = ACTOR_NULL;
        Dispatcher *d = ASSERT_PTR(userdata);
        const char *json;
        uint64_t run;
        int r;

        r = bus_take(m, BUS_CHANGE, error, "ts", &run, &json);
        if (r < 0)
                return r;
        r = actor_parse(json, &by, &failure);
        if (r == 0)
                r = dispatcher_cancel(d, run, &by);
        if (r != 0)
                return reply_failure(error, r, &failure);
        return sd_bus_reply_method_return(m, "");
}

static int method_kick(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Dispatcher *d = ASSERT_PTR(userdata);
        int r;

        r = bus_sender_may(m, BUS_CHANGE, error);
        if (r < 0)
                return r;
        dispatcher_kick(d);
        return sd_bus_reply_method_return(m, "");
}

static int set_draining(sd_bus_message *m, Dispatcher *d, bool draining, sd_bus_error *error) {
        _cleanup_(actor_done) Actor by = ACTOR_NULL;
        uint64_t node;
        int r;

        r = bus_take(m, BUS_CHANGE, error, "t", &node);
        if (r < 0)
                return r;
        r = name_caller(m, &by);
        if (r < 0)
                return r;
        r = dispatcher_set_draining(d, node, draining, &by);
        if (r != 0)
                return reply_failure(error, r, NULL);
        return sd_bus_reply_method_return(m, "");
}

static int method_drain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return set_draining(m, ASSERT_PTR(userdata), true, error);
}

static int method_undrain(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return set_draining(m, ASSERT_PTR(userdata), false, error);
}

static int method_probe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(probe_request_done) ProbeRequest request = PROBE_REQUEST_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Dispatcher *d = ASSERT_PTR(userdata);
        uint64_t command;
        const char *json;
        int r;

        r = bus_take(m, BUS_CHANGE, error, "s", &json);
        if (r < 0)
                return r;
        r = probe_request_parse(json, &request, &failure);
        if (r < 0)
                return reply_failure(error, r, &failure);
        r = dispatcher_probe(d, &request, &command, &failure);
        if (r == ORDER_E_REFUSED || r == ORDER_E_NO_KEY)
                return reply_refused(error, &failure);
        if (r != 0)
                return reply_failure(error, r, &failure);
        return sd_bus_reply_method_return(m, "t", command);
}

static int method_cancel_probe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Dispatcher *d = ASSERT_PTR(userdata);
        uint64_t command;
        int r;

        r = bus_take(m, BUS_CHANGE, error, "t", &command);
        if (r < 0)
                return r;
        r = dispatcher_cancel_probe(d, command);
        if (r != 0 && r != QUEUE_E_GONE)
                return reply_failure(error, r, NULL);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_pin_key(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Dispatcher *d = ASSERT_PTR(userdata);
        const char *recipient;
        uint64_t node;
        int r;

        r = bus_take(m, BUS_CHANGE, error, "ts", &node, &recipient);
        if (r < 0)
                return r;
        r = dispatcher_pin_key(d, node, recipient);
        if (r != 0 && r != NODE_E_KEY_MISMATCH)
                return reply_failure(error, r, NULL);
        return sd_bus_reply_method_return(m, "b", r == 0);
}

static int method_node_seen(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Dispatcher *d = ASSERT_PTR(userdata);
        uint64_t node;
        int r;

        r = bus_take(m, BUS_CHANGE, error, "t", &node);
        if (r < 0)
                return r;
        r = dispatcher_node_seen(d, node);
        if (r != 0)
                return reply_failure(error, r, NULL);
        return sd_bus_reply_method_return(m, "");
}

static int method_drain_node(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(actor_done) Actor by = ACTOR_NULL;
        Dispatcher *d = ASSERT_PTR(userdata);
        const char *json;
        uint64_t node;
        int draining, r;

        r = bus_take(m, BUS_CHANGE, error, "tbs", &node, &draining, &json);
        if (r < 0)
                return r;
        r = actor_parse(json, &by, &failure);
        if (r == 0)
                r = dispatcher_set_draining(d, node, draining, &by);
        if (r != 0)
                return reply_failure(error, r, &failure);
        return sd_bus_reply_method_return(m, "");
}

/* --- Properties --- */

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", BACKUPX_VERSION);
}

static QueueCounts read_counts(Dispatcher *d) {
        QueueCounts counts = {};

        if (queue_counts(d->store, /* node_id= */ 0, &counts) != 0)
                return (QueueCounts){};
        return counts;
}

static int get_depth(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "u", (uint32_t) read_counts(ASSERT_PTR(userdata)).pending);
}

static int get_running(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const QueueCounts counts = read_counts(ASSERT_PTR(userdata));

        return sd_bus_message_append(reply, "u", (uint32_t) (counts.dispatched + counts.accepted));
}

static int get_timeouts(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "t", read_counts(ASSERT_PTR(userdata)).timeouts_total);
}

static int get_online(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Dispatcher *d = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "u", d->nodes_online);
}

/* --- The scheduler's bell --- */

static int on_run_queued(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        dispatcher_kick(ASSERT_PTR(userdata));
        return 0;
}

/* It may have queued runs while we were not connected. */
static void on_scheduler(BusPeer *peer, void *userdata) {
        dispatcher_kick(ASSERT_PTR(userdata));
}

int dispatcher_bus_watch_scheduler(Dispatcher *d) {
        _cleanup_(freep) char *socket = NULL;
        BusPeerArgs args = {
                .event = d->event,
                .path = BUS_SCHEDULER_PATH,
                .on_connect = on_scheduler,
                .userdata = d,
        };
        int r;

        assert(d);

        r = asprintf_safe(&socket, "%s/scheduler.sock", daemon_runtime_directory());
        if (r < 0)
                return r;
        args.socket = socket;
        r = bus_peer_new(&args, &d->scheduler);
        if (r >= 0)
                r = bus_peer_match(d->scheduler, BUS_SCHEDULER_INTERFACE, "RunQueued", on_run_queued, d);
        if (r >= 0)
                r = bus_peer_start(d->scheduler);
        return r;
}

/* --- Tables --- */

static const sd_bus_vtable dispatcher_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("QueueDepth", "u", get_depth, 0, 0),
        SD_BUS_PROPERTY("Running", "u", get_running, 0, 0),
        SD_BUS_PROPERTY("TimeoutsTotal", "t", get_timeouts, 0, 0),
        SD_BUS_PROPERTY("NodesOnline", "u", get_online, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("ListQueue", SD_BUS_NO_ARGS, SD_BUS_RESULT("a" QUEUE_TYPE, commands),
                                method_list_queue, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListNodes", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(tssst)", nodes),
                                method_list_nodes, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_ARGS("t", run), SD_BUS_NO_RESULT, method_cancel,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Kick", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_kick,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Drain", SD_BUS_ARGS("t", node), SD_BUS_NO_RESULT, method_drain,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Undrain", SD_BUS_ARGS("t", node), SD_BUS_NO_RESULT, method_undrain,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("CommandQueued", SD_BUS_ARGS("t", node), 0),
        SD_BUS_SIGNAL_WITH_ARGS("CommandFinished", SD_BUS_ARGS("t", command, "s", state), 0),
        SD_BUS_SIGNAL_WITH_ARGS("NodeStateChanged", SD_BUS_ARGS("t", node, "s", state), 0),
        SD_BUS_SIGNAL_WITH_ARGS("RunChanged", SD_BUS_ARGS("t", run, "s", state), 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable internal_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("CancelRun", SD_BUS_ARGS("t", run, "s", by), SD_BUS_NO_RESULT,
                                method_cancel_run, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Probe", SD_BUS_ARGS("s", json), SD_BUS_RESULT("t", command), method_probe,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CancelProbe", SD_BUS_ARGS("t", command), SD_BUS_NO_RESULT,
                                method_cancel_probe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PinKey", SD_BUS_ARGS("t", node, "s", recipient), SD_BUS_RESULT("b", pinned),
                                method_pin_key, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DrainNode", SD_BUS_ARGS("t", node, "b", draining, "s", by),
                                SD_BUS_NO_RESULT, method_drain_node, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("NodeSeen", SD_BUS_ARGS("t", node), SD_BUS_NO_RESULT, method_node_seen,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int dispatcher_bus_add(Dispatcher *d) {
        int r;

        assert(d);

        r = bus_doors_add_vtable(d->doors, BUS_DISPATCHER_INTERFACE, dispatcher_vtable, d);
        if (r < 0)
                return r;
        return bus_doors_add_vtable(d->doors, BUS_DISPATCHER_INTERNAL, internal_vtable, d);
}

void dispatcher_bus_emit_queued(Dispatcher *d, uint64_t node) {
        assert(d);

        bus_doors_emit(d->doors, BUS_DISPATCHER_INTERFACE, "CommandQueued", "t", node);
}

void dispatcher_bus_emit_finished(Dispatcher *d, uint64_t command, CommandState state) {
        assert(d);

        bus_doors_emit(d->doors, BUS_DISPATCHER_INTERFACE, "CommandFinished", "ts", command,
                       command_state_to_string(state));
}

void dispatcher_bus_emit_run(Dispatcher *d, uint64_t run, RunState state) {
        assert(d);

        bus_doors_emit(d->doors, BUS_DISPATCHER_INTERFACE, "RunChanged", "ts", run,
                       run_state_to_string(state));
}

void dispatcher_bus_emit_node(Dispatcher *d, uint64_t node, NodeState state) {
        assert(d);

        bus_doors_emit(d->doors, BUS_DISPATCHER_INTERFACE, "NodeStateChanged", "ts", node,
                       node_state_to_string(state));
}
