/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/node.h"
#include "store/queue.h"
#include "store/run.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/entity.h"
#include "wire/names.h"

#include "services/api/api.h"
#include "services/api/sibling-bus.h"
#include "services/api/sibling.h"
#include "services/api/stream.h"

/* One question for a request that waits. A probe goes on to wait for its command; when its request goes
 * first, by the limit of time or because the client did, the command is cancelled. */
typedef struct Question {
        Siblings *siblings; /* weak */
        struct Question *prev, *next;
        Request *request; /* weak: it tells when it goes, then this is NULL */
        SiblingReply reply;
        bool is_probe;
        uint64_t command_id; /* of a probe; 0: not made yet */
        bool is_called;      /* the bus holds us until it has answered */
        sd_event_source *timer;
        sd_event_source *hangup; /* of the client: libmicrohttpd does not look while a request waits */
} Question;

struct Siblings {
        Api *api;
        BusPeer *scheduler, *dispatcher;
        Question *questions;
};

/* --- Questions ------------------------------------------------------------------------------------ */

static Question *question_free(Question *q) {
        if (!q)
                return NULL;

        if (q->prev)
                q->prev->next = q->next;
        else if (q->siblings->questions == q)
                q->siblings->questions = q->next;
        if (q->next)
                q->next->prev = q->prev;
        sd_event_source_disable_unref(q->timer);
        sd_event_source_disable_unref(q->hangup);
        free(q);
        return NULL;
}

DEFINE_CLEANUP(Question *, question_free);

static Question *question_new(Request *r, SiblingReply reply) {
        Siblings *s = r->api->siblings;
        Question *q = new0(Question, 1);

        if (!q)
                return NULL;
        *q = (Question){ .siblings = s, .request = r, .reply = reply, .next = s->questions };
        if (q->next)
                q->next->prev = q;
        s->questions = q;
        return q;
}

/* Nobody waits for the answer any more. */
static void question_drop(Question *q) {
        q->request = NULL;
        q->timer = sd_event_source_disable_unref(q->timer);
        q->hangup = sd_event_source_disable_unref(q->hangup);
        if (!q->is_called)
                question_free(q);
}

/* Rings. Who is not there looks at the store when it comes. */
static void ring_probe_cancel(Question *q) {
        int r;

        assert(q);

        if (q->command_id == 0)
                return;
        r = bus_peer_call_async(q->siblings->dispatcher, BUS_DISPATCHER_INTERNAL, "CancelProbe", NULL, NULL,
                                "t", q->command_id);
        if (r < 0) /* it ends with its deadline, then */
                log_debug_errno(r, "The dispatcher did not hear that probe %" PRIu64 " is off, ignoring: %m",
                                q->command_id);
        q->command_id = 0;
}

static void on_cancel(Request *r, void *userdata) {
        ring_probe_cancel(userdata);
        question_drop(userdata);
}

static void answer(Question *q, int error, uint64_t id, const Failure *failure) {
        Request *r = q->request;
        SiblingReply reply = q->reply;

        question_drop(q);
        if (!r)
                return;
        r->cancel = NULL;
        reply(r, error, id, failure);
}

/* Their errors, as ours. What is not in the table is our own failure. */
static int translate(const sd_bus_error *error, Failure *ret) {
        assert(error);

        static const struct {
                const char *name;
                int error;
                ApiError code;
        } table[] = {
                { BUS_ERROR_NOT_FOUND, -ENOENT, ERROR_NOT_FOUND },
                { BUS_ERROR_CONFLICT, -EEXIST, ERROR_CONFLICT },
                { BUS_ERROR_INVALID_ARGUMENT, -EINVAL, ERROR_REQUEST_INVALID },
                { BUS_ERROR_LIMIT_EXCEEDED, -EDQUOT, ERROR_LIMIT_EXCEEDED },
                { BUS_ERROR_UNAVAILABLE, -ENOTCONN, ERROR_UNAVAILABLE },
                { BUS_ERROR_NODE_OFFLINE, -ENOTCONN, ERROR_NODE_OFFLINE },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (sd_bus_error_has_name(error, table[i].name))
                        return failure_set(ret, table[i].error, api_error_code(table[i].code), "%s",
                                           strempty(error->message));
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY))
                return -ETIMEDOUT;
        log_error("A sibling daemon failed: %s", error->message ? error->message : strempty(error->name));
        return -EIO;
}

static void look_at_probe(Question *q) {
        _cleanup_(command_done) Command command = COMMAND_NULL;

        if (q->command_id != 0 && command_get(q->siblings->api->store, q->command_id, &command) == 0 &&
            command_state_is_final(command.state))
                answer(q, 0, q->command_id, NULL);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Question *q = ASSERT_PTR(userdata);
        uint64_t id = 0;
        int r;

        q->is_called = false;
        if (sd_bus_message_is_method_error(m, NULL)) {
                r = translate(sd_bus_message_get_error(m), &failure);
                answer(q, r, 0, &failure);
                return 0;
        }
        r = sd_bus_message_has_signature(m, "t") > 0 ? sd_bus_message_read(m, "t", &id) : 0;
        if (r < 0 || !q->is_probe) {
                answer(q, r < 0 ? r : 0, id, NULL);
                return 0;
        }
        q->command_id = id;
        if (!q->request) {
                ring_probe_cancel(q);
                question_free(q);
                return 0;
        }
        look_at_probe(q);
        return 0;
}

static int on_probe_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        r = failure_set(&failure, -ETIMEDOUT, api_error_code(ERROR_PROBE_TIMEOUT),
                        "The node did not answer within %d s: is its agent online and not busy?",
                        (int) (PROBE_TIMEOUT_USEC / USEC_PER_SEC));
        ring_probe_cancel(userdata);
        answer(userdata, r, 0, &failure);
        return 0;
}

static int on_hangup(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        r = failure_set(&failure, -ECONNRESET, api_error_code(ERROR_UNAVAILABLE), "The client went away");
        ring_probe_cancel(userdata);
        answer(userdata, r, 0, &failure); /* to nobody: it frees the connection */
        return 0;
}

static int watch_client(Question *q) {
        int r;

        r = sd_event_add_io(q->siblings->api->event, &q->hangup, request_socket(q->request), EPOLLRDHUP,
                            on_hangup, q);
        return r == -EPERM ? 0 : r; /* not a socket: nothing to watch */
}

/* The bus has taken the question, or refused it. */
static int wait_for_answer(Request *r, Question **q, int error) {
        assert(q && *q);

        if (error < 0)
                return error;
        (*q)->is_called = true;
        request_suspend(r, on_cancel, TAKE_PTR(*q));
        return 0;
}

int sibling_queue_run(Request *r, const char *json, SiblingReply reply) {
        _cleanup_(question_freep) Question *q = question_new(r, reply);
        int error;

        assert(r);
        assert(json);

        if (!q)
                return -ENOMEM;
        error = bus_peer_call_async(r->api->siblings->scheduler, BUS_SCHEDULER_INTERNAL, "QueueRun",
                                    on_reply, q, "s", json);
        return wait_for_answer(r, &q, error);
}

int sibling_cancel_run(Request *r, uint64_t run_id, const char *by, SiblingReply reply) {
        _cleanup_(question_freep) Question *q = question_new(r, reply);
        int error;

        assert(r);
        assert(by);

        if (!q)
                return -ENOMEM;
        error = bus_peer_call_async(r->api->siblings->dispatcher, BUS_DISPATCHER_INTERNAL, "CancelRun",
                                    on_reply, q, "ts", run_id, by);
        return wait_for_answer(r, &q, error);
}

int sibling_drain(Request *r, uint64_t node_id, bool draining, const char *by, SiblingReply reply) {
        _cleanup_(question_freep) Question *q = question_new(r, reply);
        int error;

        assert(r);
        assert(by);

        if (!q)
                return -ENOMEM;
        error = bus_peer_call_async(r->api->siblings->dispatcher, BUS_DISPATCHER_INTERNAL, "DrainNode",
                                    on_reply, q, "tbs", node_id, draining, by);
        return wait_for_answer(r, &q, error);
}

int sibling_probe(Request *r, const char *json, SiblingReply reply) {
        _cleanup_(question_freep) Question *q = question_new(r, reply);
        int error;

        assert(r);
        assert(json);

        if (!q)
                return -ENOMEM;
        q->is_probe = true;
        error = event_add_timer(r->api->event, &q->timer, PROBE_TIMEOUT_USEC, on_probe_timeout, q);
        if (error >= 0)
                error = watch_client(q);
        if (error < 0)
                return error;
        error = bus_peer_call_async(r->api->siblings->dispatcher, BUS_DISPATCHER_INTERNAL, "Probe", on_reply,
                                    q, "s", json);
        return wait_for_answer(r, &q, error);
}

/* --- Rings ---------------------------------------------------------------------------------------- */

/* Who is not there looks at the store when it comes. */
static void ring(BusPeer *peer, const char *interface, const char *member) {
        int r;

        r = bus_peer_call_async(peer, interface, member, NULL, NULL, NULL);
        if (r < 0)
                log_full(LOG_DEBUG, r, NULL, NULL, "%s was not heard, ignoring: %m", member);
}

void sibling_tasks_changed(Api *api) {
        assert(api);

        ring(api->siblings->scheduler, BUS_SCHEDULER_INTERNAL, "TasksChanged");
}

void sibling_kick(Api *api) {
        assert(api);

        ring(api->siblings->dispatcher, BUS_DISPATCHER_INTERFACE, "Kick");
}

bool sibling_scheduler_is_connected(const Api *api) {
        assert(api);

        return bus_peer_is_connected(api->siblings->scheduler);
}

bool sibling_dispatcher_is_connected(const Api *api) {
        assert(api);

        return bus_peer_is_connected(api->siblings->dispatcher);
}

/* --- What they tell ------------------------------------------------------------------------------- */

static void tell_run(Siblings *s, uint64_t id) {
        _cleanup_(run_done) Run run = RUN_NULL;

        if (streams_count(s->api->streams) > 0 && run_get(s->api->store, id, &run) == 0)
                streams_send(s->api->streams, "run", run_to_json(&run, NULL, NULL));
}

static int on_run_queued(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        uint64_t id;

        if (sd_bus_message_read(m, "t", &id) >= 0)
                tell_run(ASSERT_PTR(userdata), id);
        return 0;
}

static int on_run_changed(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        const char *state;
        uint64_t id;

        if (sd_bus_message_read(m, "ts", &id, &state) >= 0)
                tell_run(ASSERT_PTR(userdata), id);
        return 0;
}

static int on_node_changed(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        _cleanup_(node_done) Node node = NODE_NULL;
        Siblings *s = ASSERT_PTR(userdata);
        const char *state;
        uint64_t id;

        if (sd_bus_message_read(m, "ts", &id, &state) >= 0 && node_get(s->api->store, id, &node) == 0)
                streams_send(s->api->streams, "node", node_to_json(&node));
        return 0;
}

static void look_at_probes(Siblings *s, uint64_t command_id) {
        for (Question *q = s->questions, *next; q; q = next) {
                next = q->next;
                if (command_id == 0 || q->command_id == command_id)
                        look_at_probe(q);
        }
}

static int on_command_finished(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        const char *state;
        uint64_t id;

        if (sd_bus_message_read(m, "ts", &id, &state) >= 0)
                look_at_probes(ASSERT_PTR(userdata), id);
        return 0;
}

/* Something may have happened unseen. */
static void on_connect(BusPeer *peer, void *userdata) {
        Siblings *s = ASSERT_PTR(userdata);

        look_at_probes(s, 0);
        streams_send(s->api->streams, "reload", json_object());
}

/* --- Life ----------------------------------------------------------------------------------------- */

static int new_peer(Siblings *s, const char *name, const char *path, BusPeer **ret) {
        _cleanup_(freep) char *socket = NULL;
        int r;

        assert(s);

        r = asprintf_safe(&socket, "%s/%s.sock", daemon_runtime_directory(), name);
        if (r < 0)
                return r;
        return bus_peer_new(&(BusPeerArgs){
                                            .event = s->api->event,
                                            .socket = socket,
                                            .path = path,
                                            .on_connect = on_connect,
                                            .userdata = s,
                            },
                            ret);
}

static int match(Siblings *s) {
        int r;

        assert(s);

        r = bus_peer_match(s->scheduler, BUS_SCHEDULER_INTERFACE, "RunQueued", on_run_queued, s);
        if (r >= 0)
                r = bus_peer_match(s->dispatcher, BUS_DISPATCHER_INTERFACE, "RunChanged", on_run_changed, s);
        if (r >= 0)
                r = bus_peer_match(s->dispatcher, BUS_DISPATCHER_INTERFACE, "NodeStateChanged",
                                   on_node_changed, s);
        if (r >= 0)
                r = bus_peer_match(s->dispatcher, BUS_DISPATCHER_INTERFACE, "CommandFinished",
                                   on_command_finished, s);
        return r;
}

int siblings_new(Api *api, Siblings **ret) {
        _cleanup_(siblings_freep) Siblings *s = NULL;
        int r;

        assert(api);
        assert(ret);

        s = new0(Siblings, 1);
        if (!s)
                return -ENOMEM;
        s->api = api;
        r = new_peer(s, "scheduler", BUS_SCHEDULER_PATH, &s->scheduler);
        if (r >= 0)
                r = new_peer(s, "dispatcher", BUS_DISPATCHER_PATH, &s->dispatcher);
        if (r >= 0)
                r = match(s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

Siblings *siblings_free(Siblings *s) {
        if (!s)
                return NULL;

        bus_peer_free(s->scheduler);
        bus_peer_free(s->dispatcher);
        while (s->questions)
                question_free(s->questions);
        free(s);
        return NULL;
}

int siblings_start(Siblings *s) {
        int r;

        assert(s);

        r = bus_peer_start(s->scheduler);
        return r < 0 ? r : bus_peer_start(s->dispatcher);
}

BusPeer *siblings_scheduler(Siblings *s) {
        assert(s);

        return s->scheduler;
}

BusPeer *siblings_dispatcher(Siblings *s) {
        assert(s);

        return s->dispatcher;
}
