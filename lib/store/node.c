/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/text.h"
#include "store/node.h"
#include "store/rows.h"

static const char *const node_state_table[_NODE_STATE_MAX] = {
        [NODE_PENDING] = "pending",
        [NODE_ONLINE] = "online",
        [NODE_OFFLINE] = "offline",
};

static const char *const node_health_table[_NODE_HEALTH_MAX] = {
        [HEALTH_HEALTHY] = "healthy",
        [HEALTH_DEGRADED] = "degraded",
        [HEALTH_OFFLINE] = "offline",
};

DEFINE_STRING_TABLE(node_state, NodeState);
DEFINE_STRING_TABLE(node_health, NodeHealth);

void node_done(Node *n) {
        assert(n);

        free(n->name);
        free(n->description);
        free(n->health_reason);
        free(n->health_reasons);
        free(n->labels);
        free(n->public_key);
        free(n->archive_recipient);
        free(n->agent_id);
        free(n->duplicate);
        free(n->boot_id);
        free(n->version);
        free(n->os);
        free(n->arch);
        free(n->hostname);
        free(n->addresses);
        free(n->tools);
        free(n->offered_key);
        *n = NODE_NULL;
}

bool node_label_is_valid(const char *label) {
        size_t n;

        assert(label);

        n = strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789._-");
        return n > 0 && n <= NODE_LABEL_MAX && !label[n] && !strchr("._-", label[0]);
}

bool node_has_label(const Node *n, const char *label) {
        size_t size;

        assert(n);
        assert(label);

        size = strlen(label);
        for (const char *word = strempty(n->labels); *word; word += strcspn(word, " "), word += *word == ' ')
                if (strcspn(word, " ") == size && strncmp(word, label, size) == 0)
                        return true;
        return false;
}

static void node_read_settings(Query *q, Node *n) {
        n->enabled = column_bool(q);
        n->labels = column_text(q);
        n->limits.jobs = column_u32(q);
        n->limits.bandwidth = column_u64(q);
        n->limits.cpu_weight = column_u32(q);
        n->limits.io_weight = column_u32(q);
        n->health_reasons = column_text(q);
}

static void node_read(Query *q, void *item) {
        Node *n = item;

        n->id = column_u64(q);
        n->name = column_text(q);
        n->description = column_text(q);
        n->created = column_u64(q);
        n->revision = column_u64(q);
        n->state = (NodeState) column_enum(q, _NODE_STATE_MAX);
        n->health = (NodeHealth) column_enum(q, _NODE_HEALTH_MAX);
        n->health_reason = column_text(q);
        n->draining = column_bool(q);
        n->public_key = column_text(q);
        n->archive_recipient = column_text(q);
        n->pin_open = column_bool(q);
        column_stamp(q, &n->heard);
        n->last_seen = column_u64(q);
        n->agent_id = column_text(q);
        n->duplicate = column_text(q);
        n->boot_id = column_text(q);
        n->version = column_text(q);
        n->os = column_text(q);
        n->arch = column_text(q);
        n->hostname = column_text(q);
        n->addresses = column_text(q);
        n->tools = column_text(q);
        n->offered_key = column_text(q);
        n->capacity = column_u32(q);
        n->free_bytes = column_u64(q);
        n->clock_skew_usec = column_i64(q);
        node_read_settings(q, n);
}

static void node_row_done(void *item) {
        node_done(item);
}

static const RowType node_type = { sizeof(Node), node_read, node_row_done };

void node_list_done(NodeList *l) {
        assert(l);

        rows_free(&node_type, l->items, l->n);
        *l = NODE_LIST_NULL;
}

int node_get(Store *s, uint64_t id, Node *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_NODE_GET);
        bind_u64(&q, id);
        return query_row(&q, &node_type, ret);
}

int node_find(Store *s, const char *name, Node *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(name);
        assert(ret);

        query_start(&q, s, SQL_NODE_FIND);
        bind_text(&q, name);
        return query_row(&q, &node_type, ret);
}

int nodes_list(Store *s, uint64_t after_id, size_t limit, NodeList *ret) {
        assert(ret);

        return list_page(s, SQL_NODES_LIST, after_id, limit, &node_type, &ret->items, &ret->n);
}

/* --- its queue --- */

void node_queue_done(NodeQueue *q) {
        assert(q);

        free(q->error_code);
        free(q->error);
        *q = NODE_QUEUE_NULL;
}

static int read_last_error(Store *s, uint64_t id, NodeQueue *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(ret);

        query_start(&q, s, SQL_NODE_LAST_ERROR);
        bind_u64(&q, id);
        r = query_step(&q);
        if (r <= 0)
                return r;
        ret->error_code = column_text(&q);
        ret->error = column_text(&q);
        ret->error_at = column_u64(&q);
        ret->error_run = column_u64(&q);
        return q.error;
}

int node_queue_get(Store *s, uint64_t id, NodeQueue *ret) {
        _cleanup_(node_queue_done) NodeQueue queue = NODE_QUEUE_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_NODE_QUEUE);
        bind_u64(&q, id);
        r = query_step(&q);
        if (r < 0)
                return r;
        queue.pending = column_u64(&q);
        queue.dispatched = column_u64(&q);
        queue.running = column_u64(&q);
        queue.oldest = column_u64(&q);
        queue.timeouts = column_u64(&q);
        r = q.error < 0 ? q.error : read_last_error(s, id, &queue);
        if (r < 0)
                return r;
        *ret = queue;
        queue = NODE_QUEUE_NULL;
        return 0;
}

/* --- the API --- */

static void node_metric_read(Query *q, void *item) {
        NodeMetric *m = item;

        m->id = column_u64(q);
        m->name = column_text(q);
        m->state = (NodeState) column_enum(q, _NODE_STATE_MAX);
        m->health = (NodeHealth) column_enum(q, _NODE_HEALTH_MAX);
        m->version = column_text(q);
        m->timeouts = column_u64(q);
        m->pending = column_u64(q);
        m->dispatched = column_u64(q);
        m->running = column_u64(q);
}

static void node_metric_done(void *item) {
        NodeMetric *m = item;

        free(m->name);
        free(m->version);
}

static const RowType node_metric_type = { sizeof(NodeMetric), node_metric_read, node_metric_done };

void node_metric_list_done(NodeMetricList *l) {
        assert(l);

        rows_free(&node_metric_type, l->items, l->n);
        *l = NODE_METRIC_LIST_NULL;
}

int node_metrics_list(Store *s, uint64_t after_id, size_t limit, NodeMetricList *ret) {
        assert(ret);

        return list_page(s, SQL_NODE_METRICS, after_id, limit, &node_metric_type, &ret->items, &ret->n);
}

int node_add(Store *s, const char *name, const char *description, usec_t now, uint64_t *ret_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(name);
        assert(ret_id);

        query_start(&q, s, SQL_NODE_ADD);
        bind_text(&q, name);
        bind_text(&q, description);
        bind_u64(&q, now);
        r = query_exec(&q);
        if (r == 0)
                *ret_id = query_last_id(&q);
        return r;
}

int node_update(Store *s, const Node *n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(n && n->name);

        query_start(&q, s, SQL_NODE_UPDATE);
        bind_u64(&q, n->id);
        bind_text(&q, n->name);
        bind_text(&q, n->description);
        bind_i64(&q, n->enabled);
        bind_text(&q, n->labels);
        bind_u64(&q, n->limits.jobs);
        bind_u64(&q, n->limits.bandwidth);
        bind_u64(&q, n->limits.cpu_weight);
        bind_u64(&q, n->limits.io_weight);
        return query_exec_or(&q, n->id == NODE_LOCAL ? (int) NODE_E_LOCAL : (int) STORE_E_NOT_FOUND);
}

int node_delete(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);

        if (id == NODE_LOCAL)
                return NODE_E_LOCAL;
        query_start(&q, s, SQL_NODE_DELETE);
        bind_u64(&q, id);
        r = query_exec_one(&q);
        if (r != STORE_E_NOT_FOUND)
                return r;
        r = row_exists(s, SQL_NODE_EXISTS, id);
        if (r < 0)
                return r;
        return r == 1 ? STORE_E_IN_USE : STORE_E_NOT_FOUND;
}

int node_open_pin(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_NODE_OPEN_PIN);
        bind_u64(&q, id);
        return query_exec_one(&q);
}

int node_contact(Store *s, const NodeContact *c) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(c);

        query_start(&q, s, SQL_NODE_CONTACT);
        bind_u64(&q, c->node_id);
        bind_text(&q, c->agent_id);
        bind_text(&q, c->boot_id);
        bind_text(&q, c->version);
        bind_text(&q, c->os);
        bind_text(&q, c->arch);
        bind_text(&q, c->hostname);
        bind_text(&q, c->addresses);
        bind_text(&q, c->tools);
        bind_text(&q, c->offered_key);
        bind_u64(&q, c->capacity);
        bind_u64(&q, c->free_bytes);
        bind_i64(&q, c->clock_skew_usec);
        return query_exec_one(&q);
}

int node_set_duplicate(Store *s, uint64_t id, const char *agent_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_NODE_SET_DUPLICATE);
        bind_u64(&q, id);
        bind_text(&q, agent_id);
        return query_exec_one(&q);
}

int node_heard(Store *s, uint64_t id, const Stamp *heard, usec_t last_seen) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(heard);

        query_start(&q, s, SQL_NODE_HEARD);
        bind_u64(&q, id);
        bind_stamp(&q, heard);
        bind_u64(&q, last_seen);
        r = query_exec(&q);
        return r == STORE_E_IN_USE ? STORE_E_NOT_FOUND : r;
}

int node_offer_key(Store *s, uint64_t id, const char *public_key) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(public_key);

        query_start(&q, s, SQL_NODE_OFFER_KEY);
        bind_u64(&q, id);
        bind_text(&q, public_key);
        return query_exec(&q);
}

int node_set_state(Store *s, uint64_t id, NodeState from, NodeState to, const NodeHealthNote *note) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(to >= 0 && to < _NODE_STATE_MAX);
        assert(note && note->health >= 0 && note->health < _NODE_HEALTH_MAX);

        query_start(&q, s, SQL_NODE_SET_STATE);
        bind_u64(&q, id);
        bind_i64(&q, from);
        bind_i64(&q, to);
        bind_i64(&q, note->health);
        bind_text(&q, note->reason);
        bind_text(&q, note->reasons);
        return query_exec_or(&q, STORE_E_STATE);
}

int node_set_health(Store *s, uint64_t id, const NodeHealthNote *note) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(note && note->health >= 0 && note->health < _NODE_HEALTH_MAX);

        query_start(&q, s, SQL_NODE_SET_HEALTH);
        bind_u64(&q, id);
        bind_i64(&q, note->health);
        bind_text(&q, note->reason);
        bind_text(&q, note->reasons);
        return query_exec_one(&q);
}

int node_set_draining(Store *s, uint64_t id, bool draining) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_NODE_SET_DRAINING);
        bind_u64(&q, id);
        bind_i64(&q, draining);
        return query_exec_one(&q);
}

int node_pin_key(Store *s, uint64_t id, const char *public_key) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(public_key);

        query_start(&q, s, SQL_NODE_PIN_KEY);
        bind_u64(&q, id);
        bind_text(&q, public_key);
        r = query_exec_or(&q, NODE_E_KEY_MISMATCH);
        if (r != NODE_E_KEY_MISMATCH)
                return r;
        r = row_exists(s, SQL_NODE_EXISTS, id);
        if (r < 0)
                return r;
        return r == 1 ? (int) NODE_E_KEY_MISMATCH : (int) STORE_E_NOT_FOUND;
}

int node_identity_set(Store *s, uint64_t id, const char *recipient, const char *sealed) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(recipient);
        assert(sealed);

        query_start(&q, s, SQL_NODE_IDENTITY_SET);
        bind_u64(&q, id);
        bind_text(&q, recipient);
        bind_text(&q, sealed);
        return query_exec(&q);
}

int node_identity_get(Store *s, uint64_t id, char **ret_recipient, char **ret_sealed) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        char *recipient, *sealed;
        int r;

        assert(s);
        assert(ret_recipient);
        assert(ret_sealed);

        query_start(&q, s, SQL_NODE_IDENTITY_GET);
        bind_u64(&q, id);
        r = query_step(&q);
        if (r == 0)
                return STORE_E_NOT_FOUND;
        if (r < 0)
                return r;
        recipient = column_text(&q);
        sealed = column_text(&q);
        if (q.error < 0) {
                free(recipient);
                free(sealed);
                return q.error;
        }
        *ret_recipient = recipient;
        *ret_sealed = sealed;
        return 0;
}
