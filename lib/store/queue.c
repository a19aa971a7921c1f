/* SPDX-License-Identifier: Apache-2.0 */

/* The queue, as the agents' side of it: claim, accept, renew, progress, finish; and reading. */

#include <stdlib.h>

#include "base/text.h"
#include "store/command-row.h"
#include "store/rows.h"

static const char *const command_state_table[_COMMAND_STATE_MAX] = {
        [COMMAND_PENDING] = "pending",
        [COMMAND_DISPATCHED] = "dispatched",
        [COMMAND_ACCEPTED] = "accepted",
        [COMMAND_SUCCEEDED] = "succeeded",
        [COMMAND_PARTIAL] = "partial",
        [COMMAND_FAILED] = "failed",
        [COMMAND_TIMEOUT] = "timeout",
        [COMMAND_CANCELLED] = "cancelled",
};

DEFINE_STRING_TABLE(command_state, CommandState);

/* --- rows --- */

void command_done(Command *c) {
        assert(c);

        free(c->kind);
        free(c->agent_id);
        free(c->spec);
        free(c->secrets);
        free(c->progress);
        free(c->result);
        free(c->error_code);
        free(c->error);
        *c = COMMAND_NULL;
}

static void command_read(Query *q, void *item) {
        Command *c = item;

        c->id = column_u64(q);
        c->run_id = column_u64(q);
        c->node_id = column_u64(q);
        c->kind = column_text(q);
        c->state = (CommandState) column_enum(q, _COMMAND_STATE_MAX);
        c->attempt = column_u32(q);
        c->created = column_u64(q);
        c->deadline = column_u64(q);
        c->dispatched = column_u64(q);
        c->accepted = column_u64(q);
        c->finished = column_u64(q);
        c->cancel = column_bool(q);
        c->settled = column_bool(q);
        c->agent_id = column_text(q);
        column_stamp(q, &c->heard);
        c->spec = column_text(q);
        c->secrets = column_text(q);
        c->progress = column_text(q);
        c->result = column_text(q);
        c->error_code = column_text(q);
        c->error = column_text(q);
}

static void command_row_done(void *item) {
        command_done(item);
}

const RowType command_type = { sizeof(Command), command_read, command_row_done };

void command_list_done(CommandList *l) {
        assert(l);

        rows_free(&command_type, l->items, l->n);
        *l = COMMAND_LIST_NULL;
}

static void command_brief_read(Query *q, void *item) {
        CommandBrief *b = item;

        b->id = column_u64(q);
        b->run_id = column_u64(q);
        b->node_id = column_u64(q);
        b->state = (CommandState) column_enum(q, _COMMAND_STATE_MAX);
        b->attempt = column_u32(q);
        column_stamp(q, &b->heard);
}

static void command_brief_done(void *item) {
}

const RowType command_brief_type = { sizeof(CommandBrief), command_brief_read, command_brief_done };

/* --- claim --- */

static bool claim_holds(const QueueClaim *claim, const CommandBrief *b) {
        for (size_t i = 0; i < claim->n_holding; i++)
                if (claim->holding[i].id == b->id && claim->holding[i].attempt == b->attempt)
                        return true;
        return false;
}

int queue_return(Store *s, const CommandBrief *b, usec_t wall) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(b);

        query_start(&q, s, SQL_QUEUE_RETURN);
        bind_u64(&q, b->id);
        bind_u64(&q, b->attempt);
        bind_u64(&q, wall);
        return query_exec_or(&q, STORE_E_STATE);
}

static int claim_list_delivered(Store *s, uint64_t node_id, CommandBrief **ret, size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_QUEUE_DELIVERED);
        bind_u64(&q, node_id);
        return query_rows(&q, &command_brief_type, ret, ret_n);
}

static int claim_return_lost(Store *s, const QueueClaim *claim) {
        CommandBrief *delivered = NULL;
        size_t n = 0;
        int r;

        assert(claim);

        r = claim_list_delivered(s, claim->node_id, &delivered, &n);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (!claim_holds(claim, &delivered[i]))
                        r = queue_return(s, &delivered[i], claim->wall);
        rows_free(&command_brief_type, delivered, n);
        return r;
}

static int claim_return_unstarted(Store *s, const QueueClaim *claim) {
        int r = 0;

        assert(claim);

        for (size_t i = 0; r == 0 && i < claim->n_unstarted; i++) {
                _cleanup_(query_done) Query q = QUERY_NULL;

                query_start(&q, s, SQL_QUEUE_UNSTART);
                bind_u64(&q, claim->unstarted[i].id);
                bind_u64(&q, claim->unstarted[i].attempt);
                bind_u64(&q, claim->wall);
                bind_u64(&q, claim->node_id);
                r = query_exec(&q);
        }
        return r;
}

static int command_compare(const void *a, const void *b) {
        const Command *x = a, *y = b;

        return x->id < y->id ? -1 : x->id > y->id;
}

static int claim_pending(Store *s, const QueueClaim *claim, CommandList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(claim);
        assert(ret);

        query_start(&q, s, SQL_QUEUE_CLAIM);
        bind_u64(&q, claim->node_id);
        bind_u64(&q, claim->wall);
        bind_text(&q, claim->agent_id);
        bind_stamp(&q, &claim->now);
        bind_u64(&q, MIN(claim->capacity, QUEUE_CLAIM_MAX));
        bind_u64(&q, MIN(claim->probes, QUEUE_CLAIM_MAX));
        return query_rows(&q, &command_type, &ret->items, &ret->n);
}

int queue_has_work(Store *s, uint64_t node_id) {
        assert(s);

        return row_exists(s, SQL_QUEUE_HAS_WORK, node_id);
}

int queue_claim(Store *s, const QueueClaim *claim, CommandList *ret) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(command_list_done) CommandList claimed = COMMAND_LIST_NULL;
        int r;

        assert(s);
        assert(claim);
        assert(claim->holding || claim->n_holding == 0);
        assert(claim->unstarted || claim->n_unstarted == 0);
        assert(ret);

        /* Most claims find nothing; those write nothing either. A command that comes right behind this look
         * rings the bell itself. */
        r = claim->n_unstarted > 0 ? 1 : queue_has_work(s, claim->node_id);
        if (r <= 0)
                return r < 0 ? r : (int) QUEUE_E_EMPTY;

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = claim_return_lost(s, claim);
        if (r == 0)
                r = claim_return_unstarted(s, claim);
        if (r != 0)
                return r;
        r = claim_pending(s, claim, &claimed);
        if (r != 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        if (claimed.n == 0)
                return QUEUE_E_EMPTY;

        /* RETURNING has no order. */
        qsort(claimed.items, claimed.n, sizeof(Command), command_compare);
        *ret = claimed;
        claimed = COMMAND_LIST_NULL;
        return 0;
}

/* --- accept, renew, progress, finish --- */

typedef struct CommandPlace {
        uint64_t node_id;
        CommandState state;
        uint32_t attempt;
        bool cancel;
} CommandPlace;

/* Why a conditional update of an agent matched nothing, in the transaction of that update; 0 when the row is
 * open and of this attempt, so that the caller decides by its state. */
static int queue_refused(Store *s, const CommandRef *ref, uint64_t node_id, CommandPlace *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(ref);
        assert(ret);

        query_start(&q, s, SQL_QUEUE_WHERE);
        bind_u64(&q, ref->id);
        r = query_step(&q);
        if (r < 0)
                return r;
        if (r == 0)
                return QUEUE_E_FOREIGN;
        ret->node_id = column_u64(&q);
        ret->state = (CommandState) column_enum(&q, _COMMAND_STATE_MAX);
        ret->attempt = column_u32(&q);
        ret->cancel = column_bool(&q);
        if (q.error < 0)
                return q.error;

        if (ret->node_id != node_id)
                return QUEUE_E_FOREIGN;
        if (command_state_is_final(ret->state))
                return QUEUE_E_GONE;
        return ret->attempt == ref->attempt ? 0 : (int) QUEUE_E_STALE;
}

static int queue_try_accept(Store *s, const CommandRef *ref, uint64_t node_id, const Stamp *now,
                            usec_t wall) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(ref);

        query_start(&q, s, SQL_QUEUE_ACCEPT);
        bind_u64(&q, ref->id);
        bind_u64(&q, ref->attempt);
        bind_u64(&q, node_id);
        bind_u64(&q, wall);
        bind_stamp(&q, now);
        return query_exec_or(&q, STORE_E_STATE);
}

int queue_accept(Store *s, const CommandRef *ref, uint64_t node_id, const Stamp *now, usec_t wall) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        CommandPlace place;
        int r;

        assert(s);
        assert(ref);
        assert(now);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = queue_try_accept(s, ref, node_id, now, wall);
        if (r == STORE_E_STATE) {
                r = queue_refused(s, ref, node_id, &place);
                if (r != 0)
                        return r;
                /* Accepted before: a repeated request. Pending: its delivery was given up. */
                return place.state == COMMAND_ACCEPTED ? 0 : (int) QUEUE_E_STALE;
        }
        if (r != 0)
                return r;
        return store_commit(&tx);
}

int queue_renew(Store *s, uint64_t node_id, const CommandRef *refs, size_t n, const Stamp *now,
                size_t *ret_renewed) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        size_t renewed = 0;
        int r;

        assert(s);
        assert(refs || n == 0);
        assert(now);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                _cleanup_(query_done) Query q = QUERY_NULL;

                query_start(&q, s, SQL_QUEUE_RENEW);
                bind_u64(&q, refs[i].id);
                bind_u64(&q, refs[i].attempt);
                bind_u64(&q, node_id);
                bind_stamp(&q, now);
                r = query_exec(&q);
                if (r != 0)
                        return r;
                renewed += query_changes(&q);
        }
        r = store_commit(&tx);
        if (r < 0)
                return r;
        if (ret_renewed)
                *ret_renewed = renewed;
        return 0;
}

static int queue_try_progress(Store *s, const CommandRef *ref, uint64_t node_id, const char *progress,
                              const Stamp *now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(ref);

        query_start(&q, s, SQL_QUEUE_PROGRESS);
        bind_u64(&q, ref->id);
        bind_u64(&q, ref->attempt);
        bind_u64(&q, node_id);
        bind_text(&q, progress);
        bind_stamp(&q, now);
        return query_exec_or(&q, STORE_E_STATE);
}

int queue_progress(Store *s, const CommandRef *ref, uint64_t node_id, const char *progress, const Stamp *now,
                   bool *ret_cancel) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        CommandPlace place;
        bool refused;
        int r;

        assert(s);
        assert(ref);
        assert(now);
        assert(ret_cancel);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = queue_try_progress(s, ref, node_id, progress, now);
        if (r != 0 && r != STORE_E_STATE)
                return r;
        refused = r == STORE_E_STATE;
        r = queue_refused(s, ref, node_id, &place);
        if (r != 0)
                return r;
        if (refused) /* of this attempt, and not accepted */
                return QUEUE_E_STALE;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        *ret_cancel = place.cancel;
        return 0;
}

static int queue_try_finish(Store *s, const CommandRef *ref, uint64_t node_id, const CommandEnd *end,
                            usec_t wall) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(ref);
        assert(end);

        query_start(&q, s, SQL_QUEUE_FINISH);
        bind_u64(&q, ref->id);
        bind_u64(&q, ref->attempt);
        bind_u64(&q, node_id);
        bind_i64(&q, end->state);
        bind_text(&q, end->error_code);
        bind_text(&q, end->error);
        bind_text(&q, end->result);
        bind_u64(&q, wall);
        return query_exec_or(&q, STORE_E_STATE);
}

int queue_finish(Store *s, const CommandRef *ref, uint64_t node_id, const CommandEnd *end, usec_t wall) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        CommandPlace place;
        int r;

        assert(s);
        assert(ref);
        assert(end);
        assert(command_state_is_final(end->state) && end->state < _COMMAND_STATE_MAX);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = queue_try_finish(s, ref, node_id, end, wall);
        if (r == STORE_E_STATE) {
                r = queue_refused(s, ref, node_id, &place);
                return r != 0 ? r : (int) QUEUE_E_STALE;
        }
        if (r != 0)
                return r;
        return store_commit(&tx);
}

/* --- reading --- */

int queue_cancels(Store *s, uint64_t node_id, uint64_t *ids, size_t n, size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_QUEUE_CANCELS);
        bind_u64(&q, node_id);
        bind_i64(&q, list_limit(n));
        return query_ids(&q, ids, n, ret_n);
}

int queue_nodes_waiting(Store *s, uint64_t after_node_id, uint64_t *ids, size_t n, size_t *ret_n) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_QUEUE_NODES_WAITING);
        bind_u64(&q, after_node_id);
        bind_i64(&q, list_limit(n));
        return query_ids(&q, ids, n, ret_n);
}

int command_get(Store *s, uint64_t id, Command *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_COMMAND_GET);
        bind_u64(&q, id);
        return query_row(&q, &command_type, ret);
}

int command_get_progress(Store *s, uint64_t id, char **ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_COMMAND_PROGRESS);
        bind_u64(&q, id);
        return query_text(&q, ret);
}

int queue_list(Store *s, const CommandFilter *filter, uint64_t after_id, size_t limit, CommandList *ret) {
        static const CommandFilter all = {};
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        if (!filter)
                filter = &all;
        query_start(&q, s,
                    filter->open                        ? SQL_QUEUE_LIST_OPEN :
                                    filter->run_id != 0 ? SQL_QUEUE_LIST_OF_RUN :
                                                          SQL_QUEUE_LIST);
        bind_u64(&q, after_id);
        bind_u64(&q, filter->node_id);
        bind_u64(&q, filter->run_id);
        bind_i64(&q, list_limit(limit));
        return query_rows(&q, &command_type, &ret->items, &ret->n);
}

int queue_counts(Store *s, uint64_t node_id, QueueCounts *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        QueueCounts counts;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_QUEUE_COUNTS);
        bind_u64(&q, node_id);
        r = query_step(&q);
        if (r < 0)
                return r;
        counts.pending = column_u64(&q);
        counts.dispatched = column_u64(&q);
        counts.accepted = column_u64(&q);
        counts.timeouts_total = column_u64(&q);
        if (q.error < 0)
                return q.error;
        *ret = counts;
        return 0;
}
