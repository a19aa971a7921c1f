/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/dispatcher.h"
#include "services/dispatcher/health.h"
#include "store/audit.h"
#include "store/node-check.h"
#include "store/node-token.h"
#include "sys/log.h"
#include "wire/names.h"

static usec_t now_wall(void) {
        return now_usec(CLOCK_REALTIME);
}

/* --- Leases --- */

static void tell_expired(Dispatcher *d, const QueueExpired *e) {
        if (e->state != COMMAND_PENDING)
                return; /* ended: settling tells it */
        log_struct(LOG_NOTICE, MESSAGE_COMMAND_REDELIVERED,
                   LOG_FIELDS(LOG_COMMAND(e->id), LOG_RUN(e->run_id), LOG_NODE(e->node_id)),
                   "Command %" PRIu64 " was not accepted in time and is delivered again", e->id);
        dispatcher_bus_emit_queued(d, e->node_id);
}

static int expire(Dispatcher *d, const Stamp *stamp) {
        _cleanup_(queue_expired_list_done) QueueExpiredList list = QUEUE_EXPIRED_LIST_NULL;
        bool blind;
        int r;

        assert(d);

        r = queue_expire(d->store, stamp, now_wall(), &list);
        if (r < 0)
                return r;
        blind = r == QUEUE_E_BLIND;
        if (blind != d->blind)
                log_info("%s",
                         blind ? "The API is not listening: no silence counts until it does" :
                                 "The API is listening");
        d->blind = blind;
        for (size_t i = 0; i < list.n; i++)
                tell_expired(d, list.items + i);
        return 0;
}

/* --- Nodes --- */

static usec_t seen_at(const Dispatcher *d, uint64_t node_id) {
        for (size_t i = 0; i < d->n_seen; i++)
                if (d->seen[i].node_id == node_id)
                        return d->seen[i].mono;
        return 0;
}

static void forget_seen(Dispatcher *d, usec_t now) {
        size_t kept = 0;

        for (size_t i = 0; i < d->n_seen; i++)
                if (now - d->seen[i].mono < NODE_OFFLINE_USEC)
                        d->seen[kept++] = d->seen[i];
        d->n_seen = kept;
}

static int remember_seen(Dispatcher *d, uint64_t node_id, usec_t now) {
        Seen *grown;

        assert(d);

        for (size_t i = 0; i < d->n_seen; i++)
                if (d->seen[i].node_id == node_id) {
                        d->seen[i].mono = now;
                        return 0;
                }
        grown = reallocarray(d->seen, d->n_seen + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        d->seen = grown;
        d->seen[d->n_seen++] = (Seen){ node_id, now };
        return 0;
}

/* Since when a new token waits for its agent to use it. */
#define TOKEN_OLD_USEC (5 * USEC_PER_MINUTE)
/* More than that has one cause, which is no node's. */
#define TOKEN_OLD_MAX 1000U

/* Above any fleet of one master. */
#define CHECK_FAILED_MAX 20000U

static int node_set_prepare(NodeSet *set, size_t max) {
        set->n = 0;
        if (set->ids)
                return 0;
        set->ids = new0(uint64_t, max);
        return set->ids ? 0 : -ENOMEM;
}

static int look_for_old_tokens(Dispatcher *d) {
        usec_t now = now_wall();
        int r;

        assert(d);

        r = node_set_prepare(&d->token_old, TOKEN_OLD_MAX);
        if (r < 0)
                return r;
        r = nodes_token_old(d->store, usec_sub(now, TOKEN_OLD_USEC), now, d->token_old.ids, TOKEN_OLD_MAX,
                            &d->token_old.n);
        return MIN(r, 0);
}

static int look_for_failed_checks(Dispatcher *d) {
        int r;

        r = node_set_prepare(&d->check_failed, CHECK_FAILED_MAX);
        if (r < 0)
                return r;
        r = node_checks_failed(d->store, 0, d->check_failed.ids, CHECK_FAILED_MAX, &d->check_failed.n);
        return MIN(r, 0);
}

static int compare_ids(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static bool node_set_has(const NodeSet *set, uint64_t id) {
        return set->n > 0 && bsearch(&id, set->ids, set->n, sizeof(id), compare_ids);
}

static NodeView view_node(const Dispatcher *d, const Node *node, const ApiStamp *api, const Stamp *now) {
        Stamp heard = node->heard;
        usec_t seen = seen_at(d, node->id);
        bool this_boot;

        assert(d);
        assert(now);

        if (seen > 0 && (!streq(heard.boot_id, now->boot_id) || seen > heard.mono)) {
                heard = *now;
                heard.mono = seen;
        }
        this_boot = streq(heard.boot_id, now->boot_id);
        return (NodeView){
                .state = node->state,
                .heard = this_boot && heard.mono > 0 && usec_sub(now->mono, heard.mono) < NODE_OFFLINE_USEC,
                .listening = api_stamp_is_fresh(api, now),
                .silence = stamp_silence(&heard, api, now),
                .disabled = !node->enabled,
                .duplicate = !isempty(node->duplicate),
                .has_key = node->public_key,
                .key_differs = node->public_key && node->offered_key &&
                                !streq(node->public_key, node->offered_key),
                .token_old = node_set_has(&d->token_old, node->id),
                .check_failed = node_set_has(&d->check_failed, node->id),
                .clock_skew_usec = node->clock_skew_usec,
                .has_facts = node->boot_id,
                .free_bytes = node->free_bytes,
        };
}

static void tell_node(Dispatcher *d, const Node *node, const NodeVerdict *v) {
        bool online = v->state == NODE_ONLINE;

        log_struct(online ? LOG_INFO : LOG_WARNING, online ? MESSAGE_NODE_ONLINE : MESSAGE_NODE_OFFLINE,
                   LOG_FIELDS(LOG_NODE(node->id), LOG_STATE(node_state_to_string(v->state))),
                   "Node '%s' is %s", strempty(node->name), node_state_to_string(v->state));
        dispatcher_bus_emit_node(d, node->id, v->state);
}

static void tell_health(Dispatcher *d, const Node *node, const NodeVerdict *v, const NodeHealthNote *note) {
        assert(node);
        assert(v);
        assert(note);

        if (v->health == HEALTH_DEGRADED)
                log_struct(LOG_WARNING,
                           v->reasons & 1U << REASON_DUPLICATE ? MESSAGE_NODE_DUPLICATE : NULL,
                           LOG_FIELDS(LOG_NODE(node->id)), "Node '%s' is degraded: %s", strempty(node->name),
                           strempty(note->reason));
        else if (v->health == HEALTH_HEALTHY)
                log_struct(LOG_INFO, NULL, LOG_FIELDS(LOG_NODE(node->id)), "Node '%s' is healthy again",
                           strempty(node->name));
        dispatcher_bus_emit_node(d, node->id, v->state);
}

static int note_verdict(Dispatcher *d, const Node *node, const NodeVerdict *v) {
        NodeReason first = choose_first_reason(v->reasons);
        NodeHealthNote note = { .health = v->health, .reason = first < 0 ? NULL : node_reason_text(first) };
        _cleanup_(freep) char *reasons = NULL;
        int r;

        assert(d);
        assert(node);

        r = health_reasons_format(v->reasons, node->health_reasons, now_wall(), &reasons);
        if (r < 0)
                return r;
        note.reasons = reasons;
        if (v->state != node->state) {
                r = node_set_state(d->store, node->id, node->state, v->state, &note);
                if (r == 0)
                        tell_node(d, node, v);
        } else {
                r = node_set_health(d->store, node->id, &note);
                if (r == 0)
                        tell_health(d, node, v, &note);
        }
        return r < 0 ? r : 0;
}

static int judge_node(Dispatcher *d, const Node *node, const ApiStamp *api, const Stamp *now) {
        NodeView view = view_node(d, node, api, now);
        NodeVerdict v = choose_node_state(&view);

        if (v.state == NODE_ONLINE && node->state != NODE_ONLINE)
                d->silence_at = MIN(d->silence_at, usec_add(now->mono, NODE_OFFLINE_USEC));
        if (v.state == node->state && v.health == node->health &&
            health_reasons_match(node->health_reasons, v.reasons))
                return 0;
        return note_verdict(d, node, &v);
}

/* The API asks for a key to be pinned when it sees it; this is for a key that it saw while we were away. */
static int pin_first_key(Dispatcher *d, const Node *node) {
        int r;

        if (node->public_key || isempty(node->offered_key))
                return 0;
        r = dispatcher_pin_key(d, node->id, node->offered_key);
        return r == -EINVAL ? 0 : MIN(r, 0);
}

/* The next ones of the round, all of them in a small fleet. */
static int judge_some(Dispatcher *d, const ApiStamp *api, const Stamp *now) {
        _cleanup_(node_list_done) NodeList list = NODE_LIST_NULL;
        int r = 0;

        assert(d);

        if (d->judged == 0) {
                r = look_for_old_tokens(d);
                if (r >= 0)
                        r = look_for_failed_checks(d);
        }
        if (r >= 0)
                r = nodes_list(d->store, d->judged, DISPATCHER_NODES_PER_TICK, &list);
        for (size_t i = 0; i < list.n && r >= 0; i++) {
                r = pin_first_key(d, list.items + i);
                if (r >= 0)
                        r = judge_node(d, list.items + i, api, now);
        }
        if (r < 0)
                return r;
        d->judged = list.n < DISPATCHER_NODES_PER_TICK ? 0 : list.items[list.n - 1].id;
        return 0;
}

static int judge_one(Dispatcher *d, uint64_t id, const ApiStamp *api, const Stamp *now) {
        _cleanup_(node_done) Node node = NODE_NULL;
        int r;

        r = node_get(d->store, id, &node);
        return r == 0 ? judge_node(d, &node, api, now) : MIN(r, 0);
}

/* Nothing is looked for before the time at which the first one can fall silent; with all of a fleet beating
 * that moves on as time does. */
static int judge_silent(Dispatcher *d, const ApiStamp *api, const Stamp *now) {
        uint64_t ids[DISPATCHER_PAGE];
        uint64_t after = 0;
        usec_t quietest;
        size_t n;
        int r;

        assert(d);

        if (now->mono < d->silence_at || !api_stamp_is_fresh(api, now) ||
            now->mono < usec_add(api->listening_since, NODE_OFFLINE_USEC))
                return 0;
        do {
                r = nodes_silent(d->store, now->boot_id, usec_sub(now->mono, NODE_OFFLINE_USEC), after, ids,
                                 ELEMENTSOF(ids), &n);
                for (size_t i = 0; i < n && r >= 0; i++)
                        r = judge_one(d, ids[i], api, now);
                if (r < 0)
                        return r;
                after = n > 0 ? ids[n - 1] : 0;
        } while (n == ELEMENTSOF(ids));
        r = nodes_quietest(d->store, now->boot_id, &quietest);
        if (r < 0)
                return r;
        d->silence_at = usec_add(MAX(quietest, api->listening_since), NODE_OFFLINE_USEC);
        return 0;
}

static int count_online(Dispatcher *d) {
        uint64_t online;
        int r;

        r = nodes_count_online(d->store, &online);
        if (r >= 0)
                d->nodes_online = (unsigned) online;
        return r;
}

static int read_stamps(Dispatcher *d, ApiStamp *ret_api, Stamp *ret_now) {
        int r;

        assert(d);

        r = stamp_now(ret_now);
        if (r < 0)
                return r;
        r = api_stamp_get(d->store, ret_api);
        if (r > 0)
                *ret_api = (ApiStamp){};
        return r < 0 ? r : 0;
}

int dispatcher_watch(Dispatcher *d) {
        ApiStamp api;
        Stamp now;
        int r;

        assert(d);

        r = read_stamps(d, &api, &now);
        if (r < 0)
                return r;
        r = expire(d, &now);
        if (r < 0)
                return r;
        forget_seen(d, now.mono);
        r = judge_silent(d, &api, &now);
        if (r >= 0)
                r = judge_some(d, &api, &now);
        if (r >= 0)
                r = count_online(d);
        if (r >= 0)
                r = dispatcher_release_commands(d);
        if (r < 0)
                return r;
        r = dispatcher_renew_changed(d);
        if (r < 0)
                return r;
        return dispatcher_sweep_probes(d);
}

int dispatcher_node_seen(Dispatcher *d, uint64_t node_id) {
        _cleanup_(node_done) Node node = NODE_NULL;
        ApiStamp api;
        Stamp now;
        int r;

        assert(d);

        r = read_stamps(d, &api, &now);
        if (r >= 0)
                r = node_get(d->store, node_id, &node);
        if (r != 0)
                return r;
        r = remember_seen(d, node_id, now.mono);
        if (r < 0)
                return r;
        return judge_node(d, &node, &api, &now);
}

/* --- Keys --- */

int dispatcher_pin_key(Dispatcher *d, uint64_t node_id, const char *recipient) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        AgeRecipient parsed;
        int r;

        assert(d);
        assert(recipient);

        r = age_recipient_parse(recipient, &parsed);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        r = store_begin(d->store, &tx);
        if (r < 0)
                return r;
        r = node_get(d->store, node_id, &node);
        if (r != 0)
                return r;
        r = node_pin_key(d->store, node_id, recipient);
        if (r == 0 && node.public_key && !streq(node.public_key, recipient))
                r = dispatcher_renew_node(d, node_id);
        /* Told once: the agent offers it with every heartbeat. */
        if (r == NODE_E_KEY_MISMATCH && !streq_ptr(node.offered_key, recipient))
                log_struct(LOG_WARNING, MESSAGE_NODE_KEY_MISMATCH, LOG_FIELDS(LOG_NODE(node_id)),
                           "The agent of node '%s' offers another key than the one that is pinned",
                           node.name);
        if (r != 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        if (!streq_ptr(node.public_key, recipient))
                log_struct(LOG_NOTICE, NULL, LOG_FIELDS(LOG_NODE(node_id)), "The key of node '%s' is pinned",
                           node.name);
        dispatcher_kick(d);
        return 0;
}

int dispatcher_set_draining(Dispatcher *d, uint64_t node_id, bool draining, const Actor *by) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        const AuditEntry audit = {
                .at = now_wall(),
                .user_id = by->user_id,
                .username = by->username,
                .address = by->address,
                .action = (char *) (draining ? "node.drain" : "node.undrain"),
                .object_type = (char *) "node",
                .object_id = node_id,
        };
        int r;

        assert(d);
        assert(by);

        r = store_begin(d->store, &tx);
        if (r == 0)
                r = node_set_draining(d->store, node_id, draining);
        if (r == 0)
                r = audit_add(d->store, &audit);
        if (r == 0)
                r = store_commit(&tx);
        if (r != 0)
                return r;
        log_struct(LOG_NOTICE, NULL, LOG_FIELDS(LOG_NODE(node_id)), "Node %" PRIu64 " %s", node_id,
                   draining ? "drains: it gets no new command" : "gets commands again");
        dispatcher_bus_emit_queued(d, node_id);
        return 0;
}
