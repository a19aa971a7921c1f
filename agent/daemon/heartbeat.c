/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/daemon/facts.h"
#include "agent/daemon/heartbeat.h"
#include "agent/daemon/local-check.h"
#include "base/alloc.h"
#include "base/backoff.h"
#include "base/text.h"
#include "crypto/random.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/agent.h"

/* What a master may ask for: more often is a waste, less often makes us look dead. */
#define INTERVAL_MIN (5 * USEC_PER_SEC)
#define INTERVAL_MAX (30 * USEC_PER_SEC)
/* An answer that comes later than the next beat is worth nothing. */
#define TIMEOUT (20 * USEC_PER_SEC)
/* This much before its time one is sent with the end of a long poll, and this much behind it without. */
#define SOON (1200 * USEC_PER_MSEC)
#define PATIENCE USEC_PER_SEC

struct Heartbeat {
        Agent *agent; /* weak */
        sd_event_source *timer;
        MasterCall *call;
        Backoff backoff;
        usec_t interval;
        usec_t due;    /* monotonic */
        usec_t sent;   /* wall clock */
        json_t *check; /* a report that the master does not have yet */
        bool told;     /* it is in the one under way */
        bool again;    /* something came up while one was under way */
        bool greeted;  /* the last one was answered */
        bool patient;  /* it is due, and waits for the end of a long poll */
        bool stopped;
};

static void plan(Heartbeat *h, usec_t delay) {
        h->due = usec_add(now_usec(CLOCK_MONOTONIC), delay);
        (void) !event_rearm(h->timer, delay);
}

static void take_answer(Heartbeat *h, const json_t *data) {
        json_int_t interval = json_integer_value(json_object_get(data, "interval_s"));
        const char *sealed = json_string_value(json_object_get(data, "token_sealed"));
        usec_t clock = 0;
        JsonReader reader;

        assert(h);

        if (interval > 0)
                h->interval = CLAMP((usec_t) MIN(interval, (json_int_t) 3600) * USEC_PER_SEC, INTERVAL_MIN,
                                    INTERVAL_MAX);
        (void) json_reader_init(&reader, data, NULL);
        if (json_reader_time(&reader, "clock", JSON_OPTIONAL, &clock) > 0)
                agent_take_clock(h->agent, h->sent, clock);
        if (h->told) {
                json_decref(h->check);
                h->check = NULL;
        }
        if (!h->greeted) {
                h->greeted = true;
                agent_greeted(h->agent);
        }
        agent_take_cancels(h->agent, json_object_get(data, "cancel"));
        agent_take_limits(h->agent, json_object_get(data, "limits"));
        if (sealed)
                agent_take_token(h->agent, sealed);
}

static usec_t next_delay(Heartbeat *h, const Reply *reply) {
        uint32_t random = random_u32();
        usec_t delay;

        assert(h);

        if (reply && (reply->verdict == REPLY_OK || reply->verdict == REPLY_EMPTY)) {
                backoff_reset(&h->backoff);
                return h->interval;
        }
        delay = backoff_next(&h->backoff, random);
        if (reply && reply->verdict != REPLY_RETRY)
                delay = MAX(delay, h->interval + random % h->interval);
        return MAX(delay, reply ? reply->retry_after : 0);
}

static void on_answer(const Reply *reply, void *userdata) {
        Heartbeat *h = ASSERT_PTR(userdata);

        h->call = NULL;
        if (h->stopped)
                return;
        if (reply->verdict == REPLY_OK)
                take_answer(h, reply->data);
        else if (reply->verdict != REPLY_EMPTY)
                h->greeted = false;
        if (streq_ptr(reply->code, CODE_NODE_DISABLED))
                agent_disabled(h->agent);
        else if (reply->verdict == REPLY_UNAUTHORIZED)
                agent_token_refused(h->agent);
        if (h->call) /* with another token, just now */
                return;
        if (h->again && reply->verdict == REPLY_OK) {
                heartbeat_start(h);
                return;
        }
        plan(h, next_delay(h, reply));
}

static int build_body(Heartbeat *h, json_t **ret) {
        const AgentOptions *o = agent_options(h->agent);
        _cleanup_json_ json_t *body = json_object();
        int r;

        if (!body)
                return -ENOMEM;
        r = facts_put(body, o->temp_dir);
        if (r >= 0)
                r = json_set(body, "tools", local_check_tools(agent_local_check(h->agent)));
        if (r >= 0 && h->check)
                r = json_set(body, "check", json_incref(h->check));
        if (r >= 0)
                r = json_set(body, "boot_id", json_string(agent_boot_id(h->agent)));
        if (r >= 0)
                r = json_set(body, "agent_id", json_string(agent_id(h->agent)));
        if (r >= 0)
                r = json_set(body, "public_key", json_string(agent_public_key(h->agent)));
        if (r >= 0)
                r = json_set(body, "capacity", json_from_u64(o->capacity));
        if (r >= 0)
                r = json_set(body, "probes", json_from_u64(o->probe_capacity));
        if (r >= 0)
                r = json_set(body, "running", agent_list_work(h->agent, work_state_is_running));
        if (r >= 0)
                r = json_set(body, "clock", json_from_time(now_usec(CLOCK_REALTIME)));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(body);
        return 0;
}

static int beat(Heartbeat *h) {
        _cleanup_json_ json_t *body = NULL;
        MasterRequest request;
        int r;

        assert(h);

        r = build_body(h, &body);
        if (r < 0)
                return r;
        request = (MasterRequest){
                .path = "heartbeat",
                .body = body,
                .timeout = TIMEOUT,
                .done = on_answer,
                .userdata = h,
        };
        h->told = h->check != NULL;
        h->again = false;
        h->sent = now_usec(CLOCK_REALTIME);
        return master_ask(agent_master(h->agent), &request, &h->call);
}

void heartbeat_start(Heartbeat *h) {
        int r;

        assert(h);

        if (h->stopped || h->call || !master_token(agent_master(h->agent)))
                return;
        h->patient = false;
        h->due = usec_add(now_usec(CLOCK_MONOTONIC), h->interval);
        r = beat(h);
        if (r < 0) {
                log_warning_errno(r, "No heartbeat can be sent: %m");
                plan(h, next_delay(h, NULL));
        }
}

void heartbeat_soon(Heartbeat *h) {
        assert(h);

        if (h->call)
                h->again = true;
        else
                heartbeat_start(h);
}

void heartbeat_tell_check(Heartbeat *h, json_t *report) {
        assert(h);

        json_decref(h->check);
        h->check = report;
        h->told = false;
        heartbeat_soon(h);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Heartbeat *h = ASSERT_PTR(userdata);

        h->patient = !h->patient && agent_is_polling(h->agent) && event_rearm(h->timer, PATIENCE) >= 0;
        if (!h->patient)
                heartbeat_start(h);
        return 0;
}

usec_t heartbeat_due(const Heartbeat *h) {
        assert(h);

        return h->due;
}

void heartbeat_if_due(Heartbeat *h) {
        assert(h);

        if (h->due == USEC_INFINITY || master_is_talking(agent_master(h->agent)))
                return;
        if (usec_add(now_usec(CLOCK_MONOTONIC), SOON) >= h->due)
                heartbeat_start(h);
}

void heartbeat_stop(Heartbeat *h) {
        assert(h);

        h->stopped = true;
        h->call = master_call_free(h->call);
        (void) !event_rearm(h->timer, USEC_INFINITY);
}

int heartbeat_new(Agent *a, Heartbeat **ret) {
        _cleanup_(heartbeat_freep) Heartbeat *h = NULL;
        int r;

        assert(a);
        assert(ret);

        h = new0(Heartbeat, 1);
        if (!h)
                return -ENOMEM;
        h->agent = a;
        h->due = USEC_INFINITY;
        h->interval = AGENT_HEARTBEAT_INTERVAL_SEC * USEC_PER_SEC;
        h->backoff = BACKOFF_INIT(USEC_PER_SEC, 60 * USEC_PER_SEC);
        r = event_add_timer(agent_event(a), &h->timer, USEC_INFINITY, on_timer, h);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(h);
        return 0;
}

Heartbeat *heartbeat_free(Heartbeat *h) {
        if (!h)
                return NULL;
        master_call_free(h->call);
        json_decref(h->check);
        sd_event_source_disable_unref(h->timer);
        return mfree(h);
}
