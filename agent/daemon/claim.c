/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/daemon/claim.h"
#include "base/alloc.h"
#include "base/text.h"
#include "crypto/random.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/feature.h"

/* A claim that waits, and one beside it. */
#define POLLS_MAX 2

typedef struct Poll {
        Claim *claim; /* weak */
        MasterCall *call;
        AgentPlaces offered;
        unsigned wait_sec;
        usec_t sent;
        uint64_t number; /* rises: the newest counts */
} Poll;

struct Claim {
        Agent *agent; /* weak */
        sd_event_source *timer;
        Backoff backoff;
        Poll polls[POLLS_MAX];
        uint64_t last;
        usec_t held;  /* monotonic: since when it lets other talk go first; 0: it does not */
        bool waiting; /* for the timer */
        bool duplicated;
        bool taking; /* commands out of an answer */
        bool stopped;
};

usec_t claim_delay(const Reply *reply, unsigned wait_sec, usec_t took, Backoff *backoff, uint32_t random) {
        usec_t wait = wait_sec * USEC_PER_SEC, early = wait - MIN(CLAIM_EARLY, wait / 2), delay = 0;

        assert(reply);
        assert(backoff);

        switch (reply->verdict) {
        case REPLY_OK:
                backoff_reset(backoff);
                return 0;
        case REPLY_EMPTY:
                backoff_reset(backoff);
                /* Two agents of one name would otherwise drive each other round in circles. */
                return took < early ? USEC_PER_SEC + random % USEC_PER_SEC : 0;
        case REPLY_UNAUTHORIZED:
        case REPLY_REFUSED:
                delay = CLAIM_SLOW_MIN + random % (CLAIM_SLOW_MAX - CLAIM_SLOW_MIN);
                break;
        case REPLY_DUPLICATE:
                delay = reply->retry_after > 0 ? 0 : CLAIM_DUPLICATE_WAIT;
                delay += random % (5 * USEC_PER_SEC);
                break;
        case REPLY_RETRY:
        case REPLY_STALE:
        case _REPLY_VERDICT_MAX:
        case _REPLY_VERDICT_INVALID:
                delay = backoff_next(backoff, random);
                break;
        }
        /* Everybody was told the same moment: not all at once. */
        if (reply->retry_after > delay)
                delay = reply->retry_after + random % (USEC_PER_SEC + reply->retry_after / 4);
        return delay;
}

unsigned claim_wait_sec(usec_t now, usec_t beat_due) {
        return (unsigned) CLAMP(usec_sub(beat_due, now) / USEC_PER_SEC, (usec_t) 1, (usec_t) CLAIM_WAIT_SEC);
}

static const Poll *newest(const Claim *c) {
        const Poll *p = NULL;

        for (size_t i = 0; i < POLLS_MAX; i++)
                if (c->polls[i].call && (!p || c->polls[i].number > p->number))
                        p = &c->polls[i];
        return p;
}

static void take_commands(Claim *c, const Reply *reply) {
        const json_t *command;
        size_t i;

        if (reply->verdict != REPLY_OK)
                return;
        json_array_foreach(json_object_get(reply->data, "commands"), i, command)
                        agent_take_command(c->agent, command);
}

static void on_claim(const Reply *reply, void *userdata) {
        Poll *p = ASSERT_PTR(userdata);
        Claim *c = p->claim;
        bool current = newest(c) == p, none;
        usec_t took = usec_sub(now_usec(CLOCK_MONOTONIC), p->sent), delay;
        Reply seen = *reply; /* borrowed */

        p->call = NULL;
        c->duplicated = reply->verdict == REPLY_DUPLICATE;
        agent_duplicated(c->agent, c->duplicated);
        if (streq_ptr(reply->code, CODE_NODE_DISABLED))
                agent_disabled(c->agent);
        /* No new claim before all of this answer is taken: it would not name what is held from now on. */
        c->taking = true;
        take_commands(c, reply);
        if (reply->verdict == REPLY_OK)
                agent_take_cancels(c->agent, json_object_get(reply->data, "cancel"));
        if (reply->verdict == REPLY_OK || reply->verdict == REPLY_EMPTY)
                agent_claim_answered(c->agent);
        c->taking = false;
        if (reply->verdict == REPLY_OK || reply->verdict == REPLY_EMPTY)
                agent_beat_if_due(c->agent);
        if (!current || c->stopped)
                return;
        none = json_array_size(json_object_get(reply->data, "commands")) == 0 &&
                        json_array_size(json_object_get(reply->data, "cancel")) == 0;
        if (reply->verdict == REPLY_OK && none)
                seen.verdict = REPLY_EMPTY; /* says the same in other words */
        delay = claim_delay(&seen, p->wait_sec, took, &c->backoff, random_u32());
        if (delay == 0) {
                claim_update(c);
                return;
        }
        if (reply->verdict != REPLY_EMPTY)
                log_debug("Claim: %s, again in %u ms", strempty(reply->message),
                          (unsigned) (delay / USEC_PER_MSEC));
        c->waiting = event_rearm(c->timer, delay) >= 0;
}

static int build_body(Claim *c, AgentPlaces places, json_t **ret) {
        _cleanup_json_ json_t *body = json_object();
        int r;

        assert(c);

        if (!body)
                return -ENOMEM;
        r = json_set(body, "agent_id", json_string(agent_id(c->agent)));
        if (r >= 0)
                r = json_set(body, "capacity", json_from_u64(places.heavy));
        if (r >= 0)
                r = json_set(body, "probes", json_from_u64(places.probes));
        if (r >= 0)
                r = json_set(body, "holding", agent_list_work(c->agent, work_state_is_held));
        if (r >= 0)
                r = json_set(body, "unstarted", agent_list_unstarted(c->agent));
        if (r >= 0)
                r = json_set(body, "features", features_build());
        if (r < 0)
                return r;
        *ret = TAKE_PTR(body);
        return 0;
}

static int send_claim(Claim *c, Poll *p, AgentPlaces places) {
        char path[STRLEN("commands/claim?wait=4294967295") + 1];
        _cleanup_json_ json_t *body = NULL;
        MasterRequest request;
        int r;

        assert(c);
        assert(p);

        r = build_body(c, places, &body);
        if (r < 0)
                return r;
        /* What is to be reported as lost waits for an answer, and so does whoever wonders whether the other
         * agent is gone: a quick one. */
        p->wait_sec = c->duplicated || agent_has_lost_work(c->agent) ?
                        0 :
                        claim_wait_sec(now_usec(CLOCK_MONOTONIC), agent_beat_due(c->agent));
        snprintf(path, sizeof(path), "commands/claim?wait=%u", p->wait_sec);
        request = (MasterRequest){
                .path = path,
                .body = body,
                .timeout = p->wait_sec * USEC_PER_SEC + CLAIM_GRACE,
                .reply_max = MASTER_CLAIM_REPLY_MAX,
                .is_poll = true,
                .done = on_claim,
                .userdata = p,
        };
        p->claim = c;
        p->offered = places;
        p->sent = now_usec(CLOCK_MONOTONIC);
        p->number = ++c->last;
        return master_ask(agent_master(c->agent), &request, &p->call);
}

static Poll *free_poll(Claim *c) {
        Poll *oldest = NULL;

        assert(c);

        for (size_t i = 0; i < POLLS_MAX; i++) {
                if (!c->polls[i].call)
                        return &c->polls[i];
                if (!oldest || c->polls[i].number < oldest->number)
                        oldest = &c->polls[i];
        }
        oldest->call = master_call_free(oldest->call);
        return oldest;
}

/* Whether something else is under way, which will give its connection to us. */
static bool let_others_go_first(Claim *c) {
        usec_t now = now_usec(CLOCK_MONOTONIC);

        if (!master_is_talking(agent_master(c->agent))) {
                c->held = 0;
                return false;
        }
        if (c->held == 0)
                c->held = now;
        if (now >= c->held + CLAIM_PATIENCE || event_rearm(c->timer, c->held + CLAIM_PATIENCE - now) < 0) {
                c->held = 0;
                return false;
        }
        return true;
}

void claim_update(Claim *c) {
        AgentPlaces places;
        const Poll *p;

        assert(c);

        if (c->stopped || c->waiting || c->taking || !master_token(agent_master(c->agent)))
                return;
        places = agent_free_places(c->agent);
        if (places.heavy == 0 && places.probes == 0)
                return; /* asked again when something ends */
        p = newest(c);
        /* One place less than offered cannot be: what fills places comes with an answer. One more place only
         * matters where there was none. */
        if (p && (p->offered.heavy > 0 || places.heavy == 0) &&
            (p->offered.probes > 0 || places.probes == 0))
                return;
        if (let_others_go_first(c))
                return;
        if (send_claim(c, free_poll(c), places) < 0)
                c->waiting = event_rearm(c->timer, backoff_next(&c->backoff, random_u32())) >= 0;
}

bool claim_is_waiting(const Claim *c) {
        assert(c);

        return newest(c);
}

void claim_now(Claim *c) {
        assert(c);

        c->waiting = false;
        (void) !event_rearm(c->timer, USEC_INFINITY);
        backoff_reset(&c->backoff);
        claim_update(c);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Claim *c = ASSERT_PTR(userdata);

        c->waiting = false;
        claim_update(c);
        return 0;
}

void claim_stop(Claim *c) {
        assert(c);

        c->stopped = true;
        for (size_t i = 0; i < POLLS_MAX; i++)
                c->polls[i].call = master_call_free(c->polls[i].call);
        (void) !event_rearm(c->timer, USEC_INFINITY);
}

int claim_new(Agent *a, Claim **ret) {
        _cleanup_(claim_freep) Claim *c = NULL;
        int r;

        assert(a);
        assert(ret);

        c = new0(Claim, 1);
        if (!c)
                return -ENOMEM;
        c->agent = a;
        c->backoff = BACKOFF_INIT(USEC_PER_SEC, 60 * USEC_PER_SEC);
        r = event_add_timer(agent_event(a), &c->timer, USEC_INFINITY, on_timer, c);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

Claim *claim_free(Claim *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < POLLS_MAX; i++)
                master_call_free(c->polls[i].call);
        sd_event_source_disable_unref(c->timer);
        return mfree(c);
}
