/* SPDX-License-Identifier: Apache-2.0 */

/* Heartbeats, and the tick that writes them. */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/age.h"
#include "store/node-token.h"
#include "sys/log.h"
#include "wire/entity.h"
#include "wire/names.h"

#include "services/api/agent-private.h"
#include "services/api/api-tls.h"
#include "services/api/node-check.h"

static int parse_body(Request *r, HeartbeatBody *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        AgeRecipient key;
        int error;

        error = request_body_json(r, &json);
        if (error < 0)
                return error;
        error = heartbeat_body_parse(json, ret, &failure);
        if (error >= 0 && ret->public_key && age_recipient_parse(ret->public_key, &key) < 0)
                error = failure_set_field(&failure, -EBADMSG, "FIELD_INVALID", "public_key",
                                          "Field 'public_key' has to be an age recipient (age1…)");
        return request_check(r, error, &failure);
}

/* --- The key -------------------------------------------------------------------------------------- */

static void on_pinned(int result, void *userdata) {
        /* The next heartbeat tries again, and says so where another key is pinned. */
}

/* A refused heartbeat leaves nothing but this, for the node's health. Its instance gets no command, and does
 * not stand in the way of the one that has the key. */
static int refuse_key(Request *r, AgentNode *node, const HeartbeatBody *body) {
        int error;

        error = free_and_strdup(&node->refused_key, body->public_key);
        if (error >= 0)
                error = free_and_strdup(&node->refused_id, body->agent_id);
        if (error < 0)
                return error;
        if (node->waiting && streq_ptr(node->waiting->claim.agent_id, body->agent_id))
                agents_dismiss(r->api->agents, node->id);
        if (streq_ptr(node->agent_id, body->agent_id))
                node->agent_id = mfree(node->agent_id);
        error = node_offer_key(r->api->store, node->id, body->public_key);
        if (error == 0)
                node->content = 0; /* the next one that is taken is written whole */
        return MIN(error, 0);
}

/* The first contact pins the key; another one later is refused. Positive: answered. */
static int check_key(Request *r, AgentNode *node, const HeartbeatBody *body, const NodeGreeting *row) {
        int error;

        if (!body->public_key || streq_ptr(row->public_key, body->public_key))
                return 0;
        if (row->public_key && !row->pin_open) {
                log_struct(LOG_WARNING, MESSAGE_NODE_KEY_MISMATCH, LOG_FIELDS(LOG_NODE(node->id)),
                           "The agent of node %s shows another key than the pinned one", row->name);
                error = refuse_key(r, node, body);
                if (error < 0)
                        return error;
                error = request_fail(
                                r, ERROR_NODE_KEY_MISMATCH,
                                "Another key is pinned for this node. Reset its identity, or make a new "
                                "install link for it.");
                return error < 0 ? error : 1;
        }
        error = agent_bus_pin(r->api->agents, node->id, body->public_key, on_pinned, NULL);
        if (error < 0)
                log_debug_errno(error, "Cannot ask the dispatcher to pin a key, trying again later: %m");
        return 0;
}

/* --- What is new ---------------------------------------------------------------------------------- */

/* Of each heartbeat the moment is written, of most of them nothing else: texts that did not change, and
 * numbers that moved a little, are not worth a row of their size. With thousands of nodes that is the
 * difference between a few pages and a few megabytes a second. */

/* Free space counts as changed in steps of this part of itself. */
#define FREE_STEPS 64U
#define SKEW_STEP_USEC ((int64_t) (2 * USEC_PER_SEC))
/* Numbers are as old as this at most. */
#define CONTENT_USEC (5 * USEC_PER_MINUTE)

static uint64_t mix(uint64_t digest, const void *p, size_t n) {
        const uint8_t *bytes = p;

        for (size_t i = 0; i < n; i++)
                digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3);
        return digest;
}

static uint64_t mix_text(uint64_t digest, const char *s) {
        return mix(digest, strempty(s), strlen(strempty(s)) + 1);
}

/* The number without its lower bits: a new value for a step of about a part of FREE_STEPS. */
static uint64_t coarse(uint64_t v) {
        unsigned shift = 0;

        while (v >> shift >= 2 * FREE_STEPS)
                shift++;
        return v >> shift << shift;
}

/* The key that the agent shows, whether it was taken or not. */
static const char *shown_key(const AgentNode *node) {
        return node->refused_key ? node->refused_key : node->heartbeat.public_key;
}

static uint64_t digest_of(const AgentNode *node) {
        const HeartbeatBody *h = &node->heartbeat;
        const char *const texts[] = { node->agent_id, h->boot_id, h->version, h->os,
                                      h->arch, h->hostname, shown_key(node) };
        uint64_t digest = UINT64_C(0xcbf29ce484222325), n_addresses = 0;
        const char *name;
        json_t *version;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                digest = mix_text(digest, texts[i]);
        STRV_FOREACH(address, h->addresses) {
                digest = mix_text(digest, *address);
                n_addresses++;
        }
        json_object_foreach(h->tools, name, version)
                        digest = mix_text(mix_text(digest, name), json_string_value(version));
        return mix(digest,
                   (const uint64_t[]){ h->capacity, coarse(h->free_bytes),
                                       (uint64_t) (node->clock_skew / SKEW_STEP_USEC), n_addresses },
                   4 * sizeof(uint64_t));
}

static int format_lists(const HeartbeatBody *h, char **ret_addresses, char **ret_tools) {
        _cleanup_json_ json_t *addresses = json_from_strv(h->addresses);
        int r;

        if (!addresses)
                return -ENOMEM;
        r = json_format(addresses, ret_addresses, NULL);
        if (r < 0 || !h->tools)
                return r;
        return json_format(h->tools, ret_tools, NULL);
}

/* Whether what the node said last is to be written. The digest is given always. */
static bool content_is_new(const AgentNode *node, uint64_t *ret) {
        *ret = digest_of(node);
        return *ret != node->content || usec_sub(node->heard, node->content_at) >= CONTENT_USEC;
}

/* --- The heartbeat -------------------------------------------------------------------------------- */

/* Of most heartbeats nothing is new but their moment: what they said is not kept until it is written. */
static void keep_what_is_new(AgentNode *node, HeartbeatBody *body) {
        uint64_t digest;

        assert(node);
        assert(body);

        heartbeat_body_done(&node->heartbeat);
        node->heartbeat = *body;
        *body = (HeartbeatBody){};
        if (content_is_new(node, &digest) || node->heartbeat.n_running > 0)
                return;
        heartbeat_body_done(&node->heartbeat);
        node->heartbeat = (HeartbeatBody){};
}

int agent_heartbeat(Request *r) {
        _cleanup_(node_greeting_done) NodeGreeting row = NODE_GREETING_NULL;
        _cleanup_(heartbeat_body_done) HeartbeatBody body = {};
        AgentNode *node = NULL;
        bool urgent;
        int error;

        assert(r);

        error = agent_node_of(r, &node);
        if (error == 0)
                error = parse_body(r, &body);
        if (error == 0)
                error = agent_check_instance(r, node, body.agent_id);
        if (error != 0)
                return MIN(error, 0);
        error = node_greet(r->api->store, node->id, r->principal.token_is_old ? r->principal.token_id : 0,
                           &row);
        if (error == STORE_E_NOT_FOUND)
                return request_fail(r, ERROR_NODE_TOKEN_INVALID, "This node was deleted.");
        if (error == 0)
                error = check_key(r, node, &body, &row);
        if (error != 0)
                return MIN(error, 0);

        if (body.check) {
                error = node_check_keep(r->api, node->id, "agent", body.check);
                if (error < 0)
                        return error;
        }
        node->clock_skew = body.clock > 0 ? (int64_t) (body.clock - now_usec(CLOCK_REALTIME)) : 0;
        if (body.public_key) {
                node->refused_key = mfree(node->refused_key);
                node->refused_id = mfree(node->refused_id);
        }
        node->beaten = true;
        if (row.state != NODE_ONLINE)
                node->announce = true;
        urgent = node->announce || node->content == 0 || body.n_running > 0;
        keep_what_is_new(node, &body);
        agent_contact_note(r->api->agents, node, urgent);
        return agent_greet(r, &row);
}

int agent_self(Request *r) {
        _cleanup_(node_done) Node row = NODE_NULL;
        _cleanup_json_ json_t *data = json_object();
        int error;

        assert(r);

        error = node_get(r->api->store, r->principal.node_id, &row);
        if (error == STORE_E_NOT_FOUND)
                return request_fail(r, ERROR_NODE_TOKEN_INVALID, "This node was deleted.");
        if (error < 0)
                return error;
        error = json_set(data, "id", json_from_u64(row.id));
        if (error >= 0)
                error = json_set(data, "name", json_from_string(row.name));
        if (error >= 0)
                error = json_set(data, "status", json_from_string(node_state_to_string(row.state)));
        if (error >= 0)
                error = json_set(data, "last_seen",
                                 json_from_time(row.last_seen > 0 ? row.last_seen : USEC_INFINITY));
        if (error < 0)
                return error;
        return request_reply(r, MHD_HTTP_OK, TAKE_PTR(data));
}

/* --- The tick ------------------------------------------------------------------------------------- */

/* Ticks from one writing of ordinary heartbeats to the next: silence is measured in 45 seconds, and who was
 * away is written down and announced at once. Nodes of that many ids in a row go together. */
#define TICKS_PER_FLUSH 5U
#define NODES_PER_FLUSH 256U

void agent_contact_note(Agents *agents, AgentNode *node, bool urgent) {
        assert(agents);
        assert(node);

        node->urgent = node->urgent || urgent;
        if (node->dirty)
                return;
        node->dirty = true;
        node->dirty_next = agents->dirty;
        agents->dirty = node;
}

static int renew(Agents *agents, const AgentNode *node, const Stamp *heard) {
        _cleanup_(freep) CommandRef *refs = NULL;
        const HeartbeatBody *h = &node->heartbeat;
        int r;

        if (h->n_running == 0)
                return 0;
        refs = new0(CommandRef, h->n_running);
        if (!refs)
                return -ENOMEM;
        for (size_t i = 0; i < h->n_running; i++)
                refs[i] = (CommandRef){
                        .id = h->running[i].command,
                        .attempt = (uint32_t) h->running[i].attempt,
                };
        r = queue_renew(agents->api->store, node->id, refs, h->n_running, heard, NULL);
        return MIN(r, 0);
}

static int write_content(Agents *agents, AgentNode *node) {
        _cleanup_(freep) char *addresses = NULL, *tools = NULL;
        const HeartbeatBody *h = &node->heartbeat;
        NodeContact contact = {
                .node_id = node->id,
                .agent_id = node->agent_id,
                .boot_id = h->boot_id,
                .version = h->version,
                .os = h->os,
                .arch = h->arch,
                .hostname = h->hostname,
                .offered_key = shown_key(node),
                .capacity = h->capacity,
                .free_bytes = h->free_bytes,
                .clock_skew_usec = node->clock_skew,
        };
        uint64_t digest;
        int r;

        if (!content_is_new(node, &digest))
                return 0;
        r = format_lists(h, &addresses, &tools);
        if (r < 0)
                return r;
        contact.addresses = addresses;
        contact.tools = tools;
        r = node_contact(agents->api->store, &contact);
        if (r != 0)
                return r;
        node->content = digest;
        node->content_at = node->heard;
        return 0;
}

static int write_contact(Agents *agents, AgentNode *node, const Stamp *now) {
        Store *store = agents->api->store;
        Stamp heard = *now;
        int r = 0;

        heard.mono = node->heard;
        if (node->token != 0)
                r = node_token_used(store, node->token, now_usec(CLOCK_REALTIME));
        if (r >= 0 && node->duplicate_changed)
                r = node_set_duplicate(store, node->id, node->duplicate);
        if (r < 0 || !node->beaten)
                return MIN(r, 0);
        r = node_heard(store, node->id, &heard,
                       now_usec(CLOCK_REALTIME) - usec_sub(now->mono, node->heard));
        if (r >= 0 && node->heartbeat.boot_id)
                r = write_content(agents, node);
        if (r >= 0)
                r = renew(agents, node, &heard);
        return MIN(r, 0);
}

/* Whoever was refused and stays away is forgotten. */
static void forget_duplicates(Agents *agents, usec_t now) {
        for (size_t i = 0; i < agents->n_nodes && agents->duplicates > 0; i++) {
                AgentNode *node = agents->nodes[i];

                if (!node->duplicate || usec_sub(now, node->duplicate_heard) <= AGENT_DUPLICATE_USEC)
                        continue;
                agent_duplicate_forget(agents, node);
                agent_contact_note(agents, node, /* urgent= */ true);
        }
}

/* A part of them at each tick, with those whose rows stand side by side. */
static bool is_due(const Agents *agents, const AgentNode *node) {
        return node->urgent || agents->is_stopping ||
                        node->id / NODES_PER_FLUSH % TICKS_PER_FLUSH == agents->ticks % TICKS_PER_FLUSH;
}

int agents_write_contacts(Agents *agents) {
        ApiStamp stamp = {};
        int r;

        assert(agents);

        stamp.at = agents_stamp(agents);
        stamp.listening_since = agents->listening_since;
        r = api_stamp_write(agents->api->store, &stamp);
        if (r < 0)
                return r;
        forget_duplicates(agents, stamp.at.mono);
        for (AgentNode *node = agents->dirty; node; node = node->dirty_next) {
                if (!is_due(agents, node))
                        continue;
                r = write_contact(agents, node, &stamp.at);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void contact_done(Agents *agents, AgentNode *node) {
        bool beaten = node->beaten;

        node->dirty = node->urgent = node->duplicate_changed = node->beaten = false;
        node->token = 0;
        heartbeat_body_done(&node->heartbeat);
        node->heartbeat = (HeartbeatBody){};
        if (beaten && node->id == NODE_LOCAL)
                api_tls_look(agents->api);
        if (!beaten || !node->announce)
                return;
        agent_bus_seen(agents, node->id);
        node->announce = false;
}

void agents_contacts_done(Agents *agents, bool written) {
        AgentNode **place;

        assert(agents);

        if (!written) {
                for (AgentNode *node = agents->dirty; node; node = node->dirty_next)
                        node->content = 0;
                return;
        }
        place = &agents->dirty;
        while (*place) {
                AgentNode *node = *place;

                if (!is_due(agents, node)) {
                        place = &node->dirty_next;
                        continue;
                }
                *place = node->dirty_next;
                contact_done(agents, node);
        }
}
