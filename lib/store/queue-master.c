/* SPDX-License-Identifier: Apache-2.0 */

/* The queue, as the dispatcher's side of it: add, cancel, expire, settle. */

#include <stdlib.h>

#include "store/command-row.h"
#include "store/rows.h"

int queue_add(Store *s, const CommandNew *c, usec_t now, uint64_t *ret_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(c && c->kind && c->spec);
        assert(ret_id);

        query_start(&q, s, SQL_QUEUE_ADD);
        bind_id(&q, c->run_id);
        bind_u64(&q, c->node_id);
        bind_text(&q, c->kind);
        bind_u64(&q, now);
        bind_u64(&q, c->deadline);
        bind_text(&q, c->spec);
        bind_text(&q, c->secrets);
        bind_u64(&q, QUEUE_NODE_MAX);
        r = query_exec_or(&q, QUEUE_E_FULL);
        if (r == 0)
                *ret_id = query_last_id(&q);
        if (r == STORE_E_EXISTS) /* of the index of open commands of a run */
                return STORE_E_IN_USE;
        return r == STORE_E_IN_USE ? (int) STORE_E_NOT_FOUND : r;
}

int queue_set_secrets(Store *s, const CommandRef *ref, const char *secrets) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ref);

        query_start(&q, s, SQL_QUEUE_SET_SECRETS);
        bind_u64(&q, ref->id);
        bind_u64(&q, ref->attempt);
        bind_text(&q, secrets);
        return query_exec_or(&q, QUEUE_E_STALE);
}

/* Why nothing was changed: it is not there, or has ended. */
static int queue_ended(Store *s, uint64_t id) {
        int r;

        r = row_exists(s, SQL_QUEUE_STATE, id);
        if (r < 0)
                return r;
        return r == 1 ? (int) QUEUE_E_GONE : (int) STORE_E_NOT_FOUND;
}

/* A step that carries the time of the end. */
static int queue_end_cancelled(Store *s, Sql statement, uint64_t id, usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, statement);
        bind_u64(&q, id);
        bind_u64(&q, now);
        return query_exec_or(&q, STORE_E_STATE);
}

static int queue_cancel_out(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_QUEUE_CANCEL_OUT);
        bind_u64(&q, id);
        return query_exec_or(&q, STORE_E_STATE);
}

static int queue_cancel_as(Store *s, uint64_t id, usec_t now, bool withdraw, bool *ret_ended) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        bool ended;
        int r;

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = queue_end_cancelled(s, SQL_QUEUE_CANCEL_PENDING, id, now);
        if (r == STORE_E_STATE && withdraw)
                r = queue_end_cancelled(s, SQL_QUEUE_WITHDRAW, id, now);
        ended = r == 0;
        if (r == STORE_E_STATE)
                r = queue_cancel_out(s, id);
        if (r == STORE_E_STATE)
                return queue_ended(s, id);
        if (r != 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        *ret_ended = ended;
        return 0;
}

int queue_cancel(Store *s, uint64_t id, usec_t now, bool *ret_ended) {
        assert(s);
        assert(ret_ended);

        return queue_cancel_as(s, id, now, /* withdraw= */ false, ret_ended);
}

int queue_cancel_probe(Store *s, uint64_t id, usec_t now, bool *ret_ended) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        int r;

        assert(s);
        assert(ret_ended);

        r = command_get(s, id, &command);
        if (r != 0)
                return r;
        if (command.run_id != 0)
                return STORE_E_NOT_FOUND;
        return queue_cancel_as(s, id, now, /* withdraw= */ true, ret_ended);
}

int queue_abandon(Store *s, uint64_t id, CommandState state, const char *error_code, const char *error,
                  usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(command_state_is_final(state) && state < _COMMAND_STATE_MAX);

        query_start(&q, s, SQL_QUEUE_ABANDON);
        bind_u64(&q, id);
        bind_i64(&q, state);
        bind_text(&q, error_code);
        bind_text(&q, error);
        bind_u64(&q, now);
        r = query_exec_or(&q, STORE_E_STATE);
        return r == STORE_E_STATE ? queue_ended(s, id) : r;
}

/* --- expiry --- */

void queue_expired_list_done(QueueExpiredList *l) {
        assert(l);

        free(l->items);
        *l = QUEUE_EXPIRED_LIST_NULL;
}

typedef struct Expiry {
        const Stamp *now;
        usec_t wall;
        ApiStamp api;
        bool blind;
} Expiry;

/* Pure: what is to become of a command that is out. Its own state: nothing. */
static CommandState expiry_verdict(const Expiry *x, const CommandBrief *b) {
        usec_t silence = stamp_silence(&b->heard, &x->api, x->now);

        switch (b->state) {
        case COMMAND_DISPATCHED:
                return silence >= QUEUE_ACCEPT_USEC ? COMMAND_PENDING : b->state;
        case COMMAND_ACCEPTED:
                return silence >= QUEUE_LEASE_USEC ? COMMAND_TIMEOUT : b->state;
        case COMMAND_PENDING:
        case COMMAND_SUCCEEDED:
        case COMMAND_PARTIAL:
        case COMMAND_FAILED:
        case COMMAND_TIMEOUT:
        case COMMAND_CANCELLED:
        case _COMMAND_STATE_MAX:
        case _COMMAND_STATE_INVALID:
                break;
        }
        return b->state;
}

static int expire_timeout(Store *s, const CommandBrief *b, usec_t wall) {
        _cleanup_(query_done) Query q = QUERY_NULL, count = QUERY_NULL, of_node = QUERY_NULL;
        int r;

        assert(b);

        query_start(&q, s, SQL_QUEUE_TIMEOUT);
        bind_u64(&q, b->id);
        bind_u64(&q, b->attempt);
        bind_stamp(&q, &b->heard);
        bind_u64(&q, wall);
        r = query_exec_or(&q, STORE_E_STATE);
        if (r != 0)
                return r;
        query_start(&count, s, SQL_QUEUE_COUNT_TIMEOUT);
        r = query_exec(&count);
        if (r != 0)
                return r;
        query_start(&of_node, s, SQL_NODE_COUNT_TIMEOUT);
        bind_u64(&of_node, b->node_id);
        return query_exec(&of_node);
}

static int expire_deadline(Store *s, const CommandBrief *b, usec_t wall) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_QUEUE_DEADLINE);
        bind_u64(&q, b->id);
        bind_u64(&q, wall);
        return query_exec_or(&q, STORE_E_STATE);
}

/* The state that the command really has now: a returned one may have become cancelled. */
static int expire_state(Store *s, uint64_t id, CommandState *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        query_start(&q, s, SQL_QUEUE_STATE);
        bind_u64(&q, id);
        r = query_step(&q);
        if (r <= 0)
                return r < 0 ? r : (int) STORE_E_NOT_FOUND;
        *ret = (CommandState) column_enum(&q, _COMMAND_STATE_MAX);
        return q.error;
}

/* 0: changed, ret is filled; STORE_E_STATE: it was not to be, or has changed since it was looked at. */
static int expire_one(Store *s, const Expiry *x, const CommandBrief *b, QueueExpired *ret) {
        CommandState verdict;
        int r;

        assert(x);
        assert(b);

        if (b->state == COMMAND_PENDING) /* only overdue ones are looked at */
                r = expire_deadline(s, b, x->wall);
        else {
                verdict = expiry_verdict(x, b);
                if (verdict == b->state)
                        return STORE_E_STATE;
                r = verdict == COMMAND_TIMEOUT ? expire_timeout(s, b, x->wall) : queue_return(s, b, x->wall);
        }
        if (r != 0)
                return r;
        *ret = (QueueExpired){ .id = b->id, .run_id = b->run_id, .node_id = b->node_id };
        return expire_state(s, b->id, &ret->state);
}

static int expire_candidates(Store *s, const Expiry *x, Sql sql, CommandBrief **ret, size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, sql);
        if (sql == SQL_QUEUE_OVERDUE)
                bind_u64(&q, x->wall);
        return query_rows(&q, &command_brief_type, ret, ret_n);
}

/* Looks without a transaction, since nearly always there is nothing to do; each change then names what it
 * saw. */
static int expire_all(Store *s, const Expiry *x, Sql sql, QueueExpiredList *l) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        CommandBrief *seen = NULL;
        QueueExpired *grown;
        size_t n = 0;
        int r;

        assert(l);

        r = expire_candidates(s, x, sql, &seen, &n);
        if (r != 0 || n == 0)
                return r;
        grown = reallocarray(l->items, l->n + n, sizeof(QueueExpired));
        if (!grown) {
                rows_free(&command_brief_type, seen, n);
                return -ENOMEM;
        }
        l->items = grown;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                if (seen[i].state != COMMAND_PENDING && expiry_verdict(x, &seen[i]) == seen[i].state)
                        continue;
                r = tx.store ? 0 : store_begin(s, &tx);
                if (r < 0)
                        break;
                r = expire_one(s, x, &seen[i], &l->items[l->n]);
                if (r == 0)
                        l->n++;
        }
        rows_free(&command_brief_type, seen, n);
        if (r < 0)
                return r;
        return tx.store ? store_commit(&tx) : 0;
}

int queue_expire(Store *s, const Stamp *now, usec_t wall, QueueExpiredList *ret) {
        _cleanup_(queue_expired_list_done) QueueExpiredList l = QUEUE_EXPIRED_LIST_NULL;
        Expiry x = { .now = now, .wall = wall };
        int r;

        assert(s);
        assert(now);
        assert(ret);

        r = api_stamp_get(s, &x.api);
        if (r < 0)
                return r;
        x.blind = r == STORE_E_NOT_FOUND || !api_stamp_is_fresh(&x.api, now);
        r = expire_all(s, &x, SQL_QUEUE_OVERDUE, &l);
        if (r < 0)
                return r;
        if (!x.blind) {
                r = expire_all(s, &x, SQL_QUEUE_OUT, &l);
                if (r < 0)
                        return r;
        }
        *ret = l;
        l = QUEUE_EXPIRED_LIST_NULL;
        return x.blind ? (int) QUEUE_E_BLIND : 0;
}

/* --- settling --- */

int queue_list_unsettled(Store *s, uint64_t after_id, size_t limit, CommandList *ret) {
        assert(ret);

        return list_page(s, SQL_QUEUE_UNSETTLED, after_id, limit, &command_type, &ret->items, &ret->n);
}

int queue_list_disabled(Store *s, CommandList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_QUEUE_DISABLED);
        return query_rows(&q, &command_type, &ret->items, &ret->n);
}

int queue_list_stranded(Store *s, CommandList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_QUEUE_STRANDED);
        return query_rows(&q, &command_type, &ret->items, &ret->n);
}

static int queue_end_caps(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_RELAY_CAPS_END);
        bind_u64(&q, id);
        return query_exec(&q);
}

int queue_settle(Store *s, uint64_t id) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        query_start(&q, s, SQL_QUEUE_SETTLE);
        bind_u64(&q, id);
        r = query_exec_or(&q, STORE_E_STATE);
        if (r == 0)
                r = queue_end_caps(s, id);
        if (r != 0)
                return r;
        return store_commit(&tx);
}
